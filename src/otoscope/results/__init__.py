"""Tables of grid studies: which explanation can be trusted, with intervals, tests, failures, and the clips that tell most."""

from otoscope.results.lines import Line
from otoscope.results.listen import write_listening
from otoscope.results.read import Rows, read_rows
from otoscope.results.run import Output, Tabulated, tabulate
from otoscope.results.save import FORMATS, as_text, save_table
from otoscope.results.table import Ask, Table, make_table

__all__ = [
    "FORMATS",
    "Ask",
    "Line",
    "Output",
    "Rows",
    "Table",
    "Tabulated",
    "as_text",
    "make_table",
    "read_rows",
    "save_table",
    "tabulate",
    "write_listening",
]

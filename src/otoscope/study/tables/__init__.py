"""Tables of grid studies: which explanation can be trusted, with intervals, tests, failures, and the clips that tell most."""

from otoscope.study.tables.lines import Line
from otoscope.study.tables.listen import write_listening
from otoscope.study.tables.read import Rows, read_rows
from otoscope.study.tables.run import Output, Tabulated, tabulate
from otoscope.study.tables.save import FORMATS, as_text, save_table
from otoscope.study.tables.table import Ask, Table, make_table

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

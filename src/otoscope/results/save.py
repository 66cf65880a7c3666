"""Tables as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.files import make_folder, write_text
from otoscope.results.table import Table
from otoscope.results.words import page_contents
from otoscope.results.write import check_pivot, comma_separated, latex, markdown, sanity_csv

FORMATS = {"md": "table.md", "latex": "table.tex", "csv": "table.csv", "html": "table.html"}
SANITY = "sanity.csv"


def as_text(table: Table, form: str, pivot: bool = False) -> str:
    """The table as Markdown (``md``), LaTeX or CSV.

    Raises
    ------
    UnknownNameError, ParameterError
        For another form, or a pivot of lines that are no masks by methods.
    """
    if form == "html":
        raise ParameterError("a page is written into a folder, not printed; name one with --out")
    if form not in FORMATS:
        raise UnknownNameError("form of a table", form, FORMATS)
    if pivot:
        check_pivot(table)
    return comma_separated(table) if form == "csv" else {"md": markdown, "latex": latex}[form](table, pivot)


def save_table(
    table: Table,
    folder: Path,
    forms: Sequence[str] = tuple(FORMATS),
    pivot: bool = False,
    listen: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write a table into a folder.

    Parameters
    ----------
    table : Table
    folder : Path
    forms : sequence of {"md", "latex", "csv", "html"}
    pivot : bool
        Markdown and LaTeX with masks as lines and methods as columns.
    listen : mapping, optional
        The clips to hear, with the ``href`` of their page, for the HTML page.

    Returns
    -------
    dict
        The path of each form; ``sanity`` is the second table as CSV, where the study asked whether explanations depend on the
        network.

    Raises
    ------
    UnknownNameError, ParameterError, WriteError
    """
    for form in forms:
        if form not in FORMATS:
            raise UnknownNameError("form of a table", form, FORMATS)
    texts = {form: as_text(table, form, pivot) for form in forms if form != "html"}
    make_folder(folder)
    paths = {form: str(write_text(folder / FORMATS[form], text)) for form, text in texts.items()}
    if "csv" in forms and table.sanity:
        paths["sanity"] = str(write_text(folder / SANITY, sanity_csv(table)))
    if "html" in forms:
        written = registry.get("view", "table").target(page_contents(table, listen), folder / FORMATS["html"])
        paths["html"] = str(written)
    return {form: paths[form] for form in (*forms, "sanity") if form in paths}

"""From results to a table, printed or in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otoscope.core.errors import ParameterError
from otoscope.results.listen import Log, Render, write_listening
from otoscope.results.read import Rows, read_rows
from otoscope.results.save import FORMATS, as_text, save_table
from otoscope.results.table import Ask, Table, make_table

LISTEN = "listen"


@dataclass(frozen=True)
class Output:
    """What becomes of a table.

    Parameters
    ----------
    folder : path, optional
        Where it is written; without one it is only printed, or, with clips to hear, written beside the first results.
    forms : tuple of {"md", "latex", "csv", "html"}
        Empty for all that are written, and Markdown printed.
    pivot : bool
        Masks as lines and methods as columns.
    listen : bool
        Whether the page gets clips to hear.
    device : {"auto", "cpu", "cuda"}
        Where these are made again.
    """

    folder: str | os.PathLike[str] | None = None
    forms: tuple[str, ...] = ()
    pivot: bool = False
    listen: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Tabulated:
    """A table, what is printed of it, and where it was written.

    Parameters
    ----------
    table : Table
    text : str
    paths : dict
        By form; ``listen`` is the page with the sounds.
    """

    table: Table
    text: str
    paths: dict[str, str]


def tabulate(
    results: Sequence[str | os.PathLike[str]],
    ask: Ask | None = None,
    output: Output | None = None,
    log: Log = lambda _line: None,
    render: Callable[[Path, str], Render] | None = None,
) -> Tabulated:
    """Read results, make a table of them, and write it where that is asked for.

    Parameters
    ----------
    results : sequence of path
        As `read_rows` takes them.
    ask : Ask, optional
    output : Output, optional
    log : callable
        Called with a line for each note on how results were read, and each step of making sounds again.
    render : callable, optional
        From a study's folder and a device to what makes its rows again; by default `otoscope.studies.Replayer`.

    Raises
    ------
    OtoscopeError
    """
    ask, output = ask or Ask(), output or Output()
    if output.listen and output.forms and "html" not in output.forms:
        raise ParameterError(
            f"clips to hear belong to the page: add html to the formats; got {', '.join(output.forms)}"
        )
    place = output.folder if output.folder is not None or not output.listen else _beside(results[0])
    rows = read_rows(results)
    for note in rows.notes:
        log(note)
    table = make_table(rows, ask)
    alone = output.forms[0] if len(output.forms) == 1 and place is None else "md"
    text = as_text(table, alone, output.pivot)
    if place is None:
        return Tabulated(table, text, {})
    folder, heard = Path(place), None
    if output.listen:
        made_again = (render or _replayer)(_study(results), output.device)
        heard = _heard(rows, table, ask, folder / LISTEN, made_again, log)
    paths = save_table(table, folder, output.forms or tuple(FORMATS), output.pivot, heard)
    if heard is not None:
        paths[LISTEN] = str(folder / LISTEN / "index.html")
    return Tabulated(table, text, paths)


def _heard(rows: Rows, table: Table, ask: Ask, folder: Path, render: Render, log: Log) -> dict[str, Any] | None:
    found = write_listening(rows, table, ask, render, folder, log)
    if found is None:
        log("no clip could be made again: the page has no sounds")
        return None
    return {**found, "href": f"{LISTEN}/index.html"}


def _beside(path: str | os.PathLike[str]) -> Path:
    """The folder of results."""
    return Path(path) if Path(path).is_dir() else Path(path).parent


def _study(results: Sequence[str | os.PathLike[str]]) -> Path:
    """The folder of the first study among the results, whose recipe says how its rows were made."""
    for folder in map(_beside, results):
        if (folder / "recipe.json").is_file():
            return folder
    raise ParameterError(
        f"the sounds of {', '.join(map(str, results))} cannot be made again: there is no recipe.json beside the results; give "
        "the folder of a study"
    )


def _replayer(folder: Path, device: str) -> Render:
    from otoscope.studies import Replayer

    return Replayer(folder, device)

"""Leaderboards of studies, printed or written into a folder: Markdown, LaTeX, CSV, a page, clips to listen to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.files import make_folder, write_text
from otoscope.report.examples import Log, Render, write_examples
from otoscope.report.leaderboard_text import check_pivot, comma_separated, latex, markdown, sanity_csv
from otoscope.report.pages.leaderboard import page_contents, write_leaderboard_page
from otoscope.results.leaderboard import Leaderboard, make_leaderboard
from otoscope.results.read import Results, read_results, study_folder
from otoscope.results.select import LeaderboardOptions

FORMATS = {"md": "table.md", "latex": "table.tex", "csv": "table.csv", "html": "table.html"}
SANITY, LISTEN = "sanity.csv", "listen"


@dataclass(frozen=True)
class Output:
    """Where and how a leaderboard is written.

    Parameters
    ----------
    folder : path, optional
        Without a folder it is only printed or, with clips to listen to, written next to the first results.
    forms : tuple of {"md", "latex", "csv", "html"}
        Empty for all of them, and Markdown printed.
    pivot : bool
        Masks as lines and methods as columns.
    listen : bool
        Whether to add clips to listen to.
    device : {"auto", "cpu", "cuda"}
        Where their sounds are computed.
    """

    folder: str | os.PathLike[str] | None = None
    forms: tuple[str, ...] = ()
    pivot: bool = False
    listen: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Tabulated:
    """A leaderboard, the text to print (Markdown, or the one requested form), and the paths of its files.

    Paths are by form; ``listen`` is the page with the sounds.
    """

    board: Leaderboard
    text: str
    paths: dict[str, str]


def tabulate(
    paths: Sequence[str | os.PathLike[str]],
    options: LeaderboardOptions | None = None,
    output: Output | None = None,
    log: Log = lambda _line: None,
    render: Callable[[Path, str], Render] | None = None,
) -> Tabulated:
    """Read results, make a leaderboard, and write it if ``output`` names a folder.

    Parameters
    ----------
    paths : sequence of path
        As `read_results` takes them.
    options : LeaderboardOptions, optional
        What the leaderboard shows; defaults if None.
    output : Output, optional
        Where and how to write it; by default it is only returned.
    log : callable
        Called with each note on how results were read, and each step of computing sounds.
    render : callable, optional
        From a study's folder and a device to a function that computes the sounds of a row; by default
        `otoscope.studies.Replayer`.
    """
    options, output = options or LeaderboardOptions(), output or Output()
    if output.listen and output.forms and "html" not in output.forms:
        raise ParameterError(
            f"clips to listen to need the page: add html to the formats; got {', '.join(output.forms)}"
        )
    place = output.folder if output.folder is not None or not output.listen else study_folder(paths[0])
    results = read_results(paths)
    for note in results.notes:
        log(note)
    board = make_leaderboard(results, options)
    text = as_text(board, output.forms[0] if len(output.forms) == 1 and place is None else "md", output.pivot)
    if place is None:
        return Tabulated(board, text, {})
    folder, listen = Path(place), None
    if output.listen:
        sounds = (render or _replayer)(_recipe_folder(paths), output.device)
        listen = _listen(results.where(options.only), board, folder / LISTEN, sounds, log)
    written = save_leaderboard(board, folder, output.forms or tuple(FORMATS), output.pivot, listen)
    if listen is not None:
        written[LISTEN] = str(folder / LISTEN / "index.html")
    return Tabulated(board, text, written)


def as_text(board: Leaderboard, form: str, pivot: bool = False) -> str:
    """The leaderboard as Markdown (``md``), LaTeX (``latex``) or CSV (``csv``); other forms are refused."""
    if form == "html":
        raise ParameterError("a page is written into a folder, not printed; name one with --out")
    if form not in FORMATS:
        raise UnknownNameError("form of a table", form, FORMATS)
    if pivot:
        check_pivot(board)
    return comma_separated(board) if form == "csv" else {"md": markdown, "latex": latex}[form](board, pivot)


def save_leaderboard(
    board: Leaderboard,
    folder: Path,
    forms: Sequence[str] = tuple(FORMATS),
    pivot: bool = False,
    listen: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write a leaderboard into a folder, which is created if missing.

    Parameters
    ----------
    forms : sequence of {"md", "latex", "csv", "html"}
        The files to write, all by default.
    pivot : bool
        Markdown and LaTeX with masks as lines and methods as columns.
    listen : mapping, optional
        The clips to listen to, with the ``href`` of their page.

    Returns
    -------
    dict
        The path of each form; ``sanity`` is the table of sanity checks as CSV, if the study made any.
    """
    texts = {form: as_text(board, form, pivot) for form in forms if form != "html"}
    make_folder(folder)
    paths = {form: str(write_text(folder / FORMATS[form], text)) for form, text in texts.items()}
    if "csv" in forms and board.sanity:
        paths["sanity"] = str(write_text(folder / SANITY, sanity_csv(board)))
    if "html" in forms:
        paths["html"] = str(write_leaderboard_page(page_contents(board, listen), folder / FORMATS["html"]))
    return {form: paths[form] for form in (*forms, "sanity") if form in paths}


def _listen(results: Results, board: Leaderboard, folder: Path, render: Render, log: Log) -> dict[str, Any] | None:
    found = write_examples(results, board, render, folder, log)
    if found is None:
        log("no clip could be computed again: the page has no sounds")
        return None
    return {**found, "href": f"{LISTEN}/index.html"}


def _recipe_folder(paths: Sequence[str | os.PathLike[str]]) -> Path:
    """The first study folder among the results with a recipe, which describes how its rows were computed."""
    for folder in map(study_folder, paths):
        if (folder / "recipe.json").is_file():
            return folder
    raise ParameterError(
        f"the sounds of {', '.join(map(str, paths))} cannot be computed: there is no recipe.json next to the results; give the "
        "folder of a study"
    )


def _replayer(folder: Path, device: str) -> Render:
    from otoscope.studies import Replayer

    return Replayer(folder, device)

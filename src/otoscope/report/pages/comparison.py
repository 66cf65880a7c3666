"""The page that sets several explanations of one sound beside one another: their scores, and their sounds to listen to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.files import write_text
from otoscope.report.pages.explanation_contents import TRUST
from otoscope.report.templating import render_page


@registry.register("view", "comparison", summary="Several explanations of one sound on one page.")
def write_comparison(rows: Sequence[Mapping[str, Any]], file: str | os.PathLike[str]) -> str:
    """Write the page of several explanations of one sound.

    Parameters
    ----------
    rows : sequence of mapping
        As `otoscope.explanation.many.result_row` gives them; at least one, all of one sound.
    file : path
        Of the page. It links to the explanations' own files, which stay where they are.

    Returns
    -------
    str
        The path of the page.

    Raises
    ------
    WriteError
    """
    folder = Path(file).parent
    name = Path(rows[0]["file"]).name
    shown = [
        {
            **row,
            "links": {part: Path(os.path.relpath(path, folder)).as_posix() for part, path in row["files"].items()},
            "trust": TRUST[row["verdict"]["trust"]][0],
        }
        for row in rows
    ]
    page = render_page(
        "comparison.html.jinja",
        styles=("page.css", "comparison.css"),
        scripts=("theme.js",),
        title=f"{name}, explained",
        name=name,
        rows=shown,
    )
    write_text(Path(file), page)
    return str(file)

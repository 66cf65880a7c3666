"""The page of an atlas: every feature of a network's layers, to look at, to search and to hear."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otoscope.auralisation.naming import is_named
from otoscope.core import registry
from otoscope.core.files import write_text
from otoscope.report.templating import render_page


@registry.register("view", "atlas", summary="Every feature of a network's layers, to look at, to search and to hear.")
def write_atlas(atlas: Mapping[str, Any], file: str | os.PathLike[str]) -> str:
    """Write the page of an atlas beside its sounds.

    Parameters
    ----------
    atlas : mapping
        What `otoscope.auralisation.make_atlas` gives.
    file : path
        Of the page.

    Returns
    -------
    str
        The path of the page.

    Raises
    ------
    WriteError
    """
    layers = [
        {
            "name": layer["name"],
            "n": len(layer["features"]),
            "named": sum(1 for f in layer["features"] if is_named(f["name"])),
            "drives": layer["drives"],
        }
        for layer in atlas["layers"]
    ]
    page = render_page(
        "atlas.html.jinja",
        styles=("page.css", "atlas.css"),
        scripts=("theme.js", "features.js", "atlas.js"),
        data={"layers": atlas["layers"]},
        title=f"Atlas of {atlas['model']['name']}",
        name=atlas["model"]["name"],
        clips=atlas["clips"],
        stimuli=atlas["stimuli"],
        features=sum(layer["n"] for layer in layers),
        named=sum(layer["named"] for layer in layers),
        layers=layers,
    )
    write_text(Path(file), page)
    return str(file)

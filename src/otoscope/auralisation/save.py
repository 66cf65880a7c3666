"""Write an auralisation: a folder for each feature, a page that compares them, and one record of all."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import AudioSource, peak, write_wav
from otoscope.auralisation.auralise import Auralisation
from otoscope.auralisation.magnitudes import feature_magnitudes
from otoscope.auralisation.measures import feature_responses, measure_feature
from otoscope.core import registry
from otoscope.core.files import make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.explanation.many import result_row

FILE = "auralisation.json"


def save_auralisation(
    found: Auralisation, folder: str | os.PathLike[str], magnitudes: bool = False, normalise: bool = False
) -> dict[str, Any]:
    """Write what features respond to.

    Parameters
    ----------
    found : Auralisation
        What `auralise` gives.
    folder : path
        Gets a folder for each feature with `Explanation.save`, ``comparison.html`` if there are several, and
        ``auralisation.json``.
    magnitudes : bool
        Whether to write ``magnitudes.wav`` for each feature too; see `feature_magnitudes`.
    normalise : bool
        Whether to bring these to full scale, one by one: their levels can then not be compared.

    Returns
    -------
    dict
        The record: layer, notes, and a row for each feature.

    Raises
    ------
    WriteError
    UnsupportedError
        If magnitudes are asked for, and the network takes others.

    Examples
    --------
    >>> found = auralise(noise, build("vgg5", 2), "block1", [17], sample_rate=11025)
    >>> save_auralisation(found, "heard")["features"][0]["feature"]
    17
    """
    out, rows, pages = make_folder(folder), [], []
    for one in found.features:
        row: dict[str, Any] = {"feature": one.number, "silent": one.explanation is None}
        if one.explanation is not None and one.measures is not None:
            place = out / f"{layer_folder(found.layer)}-{one.number}"
            files = one.explanation.save(place)
            source = one.explanation.source
            pages.append(result_row(source.source, one.explanation, files))
            row |= {"measures": asdict(one.measures), "folder": place.name}
            if magnitudes:
                row["magnitudes"] = _write_magnitudes(found, source, one.number, place, normalise)
        rows.append(row)
    if len(pages) > 1:
        registry.get("view", "comparison").target(pages, out / "comparison.html")
    record = {"layer": found.layer, "notes": found.notes, "features": rows, "responses": found.responses}
    plain: dict[str, Any] = to_jsonable(record)
    write_text(out / FILE, json.dumps(plain, indent=1) + "\n")
    return plain


def layer_folder(layer: str) -> str:
    """A layer's name as that of a folder.

    Examples
    --------
    >>> layer_folder("blocks.2.attn:heads")
    'blocks.2.attn-heads'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", layer).strip(".-") or "layer"


def _write_magnitudes(
    found: Auralisation, source: AudioSource, number: int, place: Path, normalise: bool
) -> dict[str, Any]:
    """The sound of the mode magnitude, and what the network makes of it."""
    made = feature_magnitudes(found.classifier, source, number)
    kept = feature_responses(found.classifier, made)
    measures = measure_feature(found.responses, kept, np.zeros_like(kept), number)  # nothing is removed in this mode
    largest = peak(made.samples)
    scale = 1 / largest if normalise and largest > 0 else 1.0
    write_wav(place / "magnitudes.wav", made.samples * np.float32(scale), made.sample_rate)
    return {"kept": measures.kept, "selectivity": measures.selectivity, "peak": largest, "file": "magnitudes.wav"}

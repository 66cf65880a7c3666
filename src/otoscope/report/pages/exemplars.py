"""Sounds that a clip was compared with, on the page of its explanation."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from otoscope.attribution.exemplars import Exemplar
from otoscope.audio import encode


@dataclass(frozen=True)
class PageExemplar:
    """One sound that the clip was compared with.

    Parameters
    ----------
    name, label : str
        Its name, and the class that it votes for.
    contribution, similarity : float
        To the explained class; and of the two sounds.
    note : str
        What the sound is.
    measure : str
        What the contribution is.
    audio : str
        The sound, as an address that holds it.
    """

    name: str
    label: str
    contribution: float
    similarity: float
    note: str
    measure: str
    audio: str


def page_exemplar(exemplar: Exemplar) -> PageExemplar:
    """An exemplar with its sound embedded."""
    audio, _ = encode(exemplar.samples[None], exemplar.sample_rate, "FLAC")
    address = f"data:audio/flac;base64,{base64.b64encode(audio).decode('ascii')}"
    row = {name: value for name, value in exemplar.row().items() if name not in ("id", "sha256")}
    return PageExemplar(**row, audio=address)

"""The method ``like-to-hear``: the kept sound is an autoencoder's reconstruction."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from otoscope.audio import LISTENING_OVERLAP_S, LISTENING_WINDOW_S, AudioSource
from otoscope.autoencoders.autoencoder import Autoencoder
from otoscope.autoencoders.folder import load_autoencoder
from otoscope.autoencoders.reconstruct import reconstruct_blocks
from otoscope.classifiers import Classifier
from otoscope.core.registry import register


class Reconstructor:
    """Reconstructs a sound with an autoencoder, for a classifier to hear."""

    def __init__(self, autoencoder: Autoencoder, classifier: Classifier):
        self.autoencoder = autoencoder.eval().to(classifier.device)
        self.sample_rate = classifier.sample_rate
        said = autoencoder.mismatch(classifier)
        self.warnings: tuple[str, ...] = () if said is None else (f"{said[0].upper()}{said[1:]}.",)

    @functools.cached_property
    def _sha256(self) -> str:
        return self.autoencoder.digest()

    def blocks(self, source: AudioSource) -> Iterator[np.ndarray]:
        """The kept sound, block after block, ``(channel, time)``."""
        return reconstruct_blocks(source, self.autoencoder, self.sample_rate)

    def notes(self, source: AudioSource) -> tuple[str, ...]:
        """Notes for the record on what the autoencoder does to this sound."""
        own, reach = self.autoencoder.sample_rate, self.sample_rate
        said = f"reconstructed by the autoencoder {self.autoencoder.name!r} at {own} Hz"
        if own < min(source.sample_rate, reach):
            said += f", so that sound above {own / 2:g} Hz is lost to the removed part"
        notes = [said]
        if source.duration > LISTENING_WINDOW_S:
            notes.append(
                f"reconstructed in windows of {LISTENING_WINDOW_S:g} s that fade into one another over {LISTENING_OVERLAP_S:g} s: "
                "the autoencoder's norms look over a whole window"
            )
        return tuple(notes)

    def facts(self) -> dict[str, Any]:
        """Facts for the record."""
        config = self.autoencoder.config
        return {
            "name": self.autoencoder.name,
            "sha256": self._sha256,
            "sample_rate": config.sample_rate,
            "compression": config.compression,
            "info": self.autoencoder.info,
        }


@register(
    "method",
    "like-to-hear",
    family="autoencoder",
    needs=("a tuned autoencoder", "waveform", "fixed_cells"),
    gives="sound",
    signed=True,
    complete=False,
    deterministic=True,
    cost="1 pass of the autoencoder",
    passes=lambda **_: 1,  # of the autoencoder
    source="schneider2023archisound, palacio2018what",
)
def like_to_hear(classifier: Classifier, autoencoder: str = "esc10-mn") -> Reconstructor:
    """What networks like to hear: the reconstruction of an autoencoder that was tuned by the frozen classifier's loss.

    Parameters
    ----------
    classifier : Classifier
        Who is to hear the reconstruction.
    autoencoder : str
        Name or folder of an autoencoder, preferably tuned to the classifier.

    Returns
    -------
    Reconstructor
        Whose sound is kept; the difference to the original is removed.

    Notes
    -----
    Source: palacio2018what, ported to sound. The mask of the report describes how loud each cell of the reconstruction
    is relative to the original; the sound is not made from it.
    """
    return Reconstructor(load_autoencoder(autoencoder), classifier)

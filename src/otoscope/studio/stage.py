"""The stage of the page: versions of a sound of one length, each with its picture and what the network says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from otoscope.audio import encode
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import UnknownNameError
from otoscope.core.records import Clip
from otoscope.report.formatting import percent
from otoscope.report.picture import match_gain, picture_of
from otoscope.report.templating import array

KEPT_SOUNDS = 64  # some hundred kB each
CLASSES = 3


class Stage:
    """Sounds that were shown, by key, until many others were.

    Parameters
    ----------
    sample_rate : int, Hz
        Of all sounds.
    """

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self._sounds: dict[str, np.ndarray] = {}

    def keep(self, key: str, sound: np.ndarray) -> None:
        """Keep a sound ``(time,)``."""
        self._sounds.pop(key, None)
        self._sounds[key] = sound
        while len(self._sounds) > KEPT_SOUNDS:
            del self._sounds[next(iter(self._sounds))]

    def kept(self, key: str) -> np.ndarray | None:
        """A sound that was kept."""
        return self._sounds.get(key)

    def wav(self, key: str, sound: np.ndarray | None = None) -> bytes:
        """A kept sound, or another one, as WAV.

        Raises
        ------
        UnknownNameError
        """
        found = self.kept(key) if sound is None else sound
        if found is None:
            raise UnknownNameError("sound", key[:60], ["choose it again"])
        return encode(found[None], self.sample_rate, "WAV", "FLOAT")[0]

    def version(
        self,
        model: Classifier,
        key: str,
        sound: np.ndarray,
        kind: str,
        title: str,
        note: str,
        facts: Sequence[Sequence[str]] = (),
    ) -> dict[str, Any]:
        """A version with its picture and the most probable classes."""
        with torch.no_grad():
            logits = model(torch.from_numpy(sound)[None].to(model.device))
            p = model.probabilities(logits.float())[0].cpu().numpy()
        said = [{"label": model.labels[int(c)], "p": percent(float(p[c]))} for c in p.argsort()[::-1][:CLASSES]]
        picture = picture_of(Clip(sound[None], self.sample_rate), len(sound), self.sample_rate)
        return {
            "sound": key, "kind": kind, "title": title, "note": note, "facts": [list(f) for f in facts], "said": said,
            "picture": picture,
        }  # fmt: skip

    def content(self, versions: list[dict[str, Any]]) -> dict[str, Any]:
        """The versions, which are equally long, with their pictures as the page takes them."""
        last = versions[-1]["picture"]
        for version in versions:
            picture = version.pop("picture")
            level = picture.rms_db
            version |= {
                "spectrogram": array(picture.image(), "u1"), "peaks": array(picture.outline, "<f4"),
                "rms_db": level if np.isfinite(level) else None, "match_gain": match_gain(picture, last),
            }  # fmt: skip
        return {"duration": last.frames / self.sample_rate, "sample_rate": self.sample_rate, "versions": versions}

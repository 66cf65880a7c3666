"""Stems: files that hold the parts of a clip, ``FOLDER/NAME/KIND.wav`` for the clip ``NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from otoscope.audio import AudioSource, downmix, load_audio, resample
from otoscope.core.errors import ParameterError
from otoscope.core.records import Clip
from otoscope.domains.separation import MOST

ENDINGS = (".wav", ".flac")
LONGER_S = 0.1  # how much longer than its clip a stem may be: what encoders add


@dataclass(frozen=True, eq=False)
class Stems:
    """The stems of one clip, at the clip's rate and length.

    Parameters
    ----------
    names : tuple of str
        Name of each stem: that of its file without the ending.
    clips : tuple of Clip
        With one channel, or as many as the clip.
    digests : mapping
        Name -> SHA-256 of the sound in its file.
    """

    names: tuple[str, ...]
    clips: tuple[Clip, ...]
    digests: Mapping[str, str]

    def heard_at(self, sample_rate: int) -> np.ndarray:
        """The stems as a classifier hears them: downmixed, at its rate, ``(stem, time)``."""
        mono = [downmix(clip.samples)[None] for clip in self.clips]
        return np.concatenate([resample(x, self.clips[0].sample_rate, sample_rate) for x in mono])


def stem_files(folder: str, sound: AudioSource) -> dict[str, Path]:
    """The stems of a sound by name, sorted.

    Raises
    ------
    ParameterError
        If the sound came from no file, or the folder holds no stems of it.
    """
    name = Path(sound.source).stem
    if not Path(sound.source).suffix:
        raise ParameterError(
            f"stems belong to files: FOLDER/NAME/KIND.wav to NAME.wav; the sound came from {sound.source}, pass its path"
        )
    place = Path(folder) / name
    try:
        inside = sorted(place.iterdir()) if place.is_dir() else []
    except OSError as error:
        raise ParameterError(f"the stems in {place} cannot be read: {error.strerror or error}") from error
    found = {f.stem: f for f in inside if f.suffix.lower() in ENDINGS and not f.name.startswith(".")}
    if not found:
        raise ParameterError(
            f"{sound.source} has no stems: no {' or '.join('*' + e for e in ENDINGS)} in {place}; stems= names a folder "
            "with one folder for each clip, called as the clip's file"
        )
    if len(found) > MOST:
        raise ParameterError(f"{place} holds {len(found)} stems; at most {MOST} can be explained")
    return found


def read_stems(folder: str, sound: AudioSource) -> Stems:
    """Read the stems of a sound; shorter ones end in silence.

    Raises
    ------
    ParameterError
        If there are none, or one is longer than the sound or has other channels.
    AudioReadError
        If one cannot be read.
    """
    files = stem_files(folder, sound)
    read = {name: load_audio(path) for name, path in files.items()}
    clips = tuple(_fitted(clip, sound) for clip in read.values())
    return Stems(tuple(files), clips, {name: clip.digest() for name, clip in read.items()})


def _fitted(stem: Clip, sound: AudioSource) -> Clip:
    """The stem at the sound's rate and length."""
    if stem.channels not in (1, sound.channels):
        raise ParameterError(
            f"the stem {stem.source} has {stem.channels} channels and its clip {sound.channels}; it must have 1 or as many"
        )
    if stem.duration > sound.duration + LONGER_S:
        raise ParameterError(
            f"the stem {stem.source} lasts {stem.duration:.2f} s and its clip {sound.duration:.2f} s; is it of another clip?"
        )
    at_rate = Clip(resample(stem.samples, stem.sample_rate, sound.sample_rate), sound.sample_rate, stem.source)
    return Clip(at_rate.read(0, sound.frames), sound.sample_rate, stem.source)

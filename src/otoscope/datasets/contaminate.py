"""Noise mixed into clips: which, how loud and where it starts depend on the seed and the clip alone, and are recorded.

Two rules. At an SNR, the clip keeps its level and the noise is scaled below (or above) it. By ``alpha``, both are first
brought to an RMS of 1 and mixed as ``alpha * clip + (1 - alpha) * noise``, then the peak is brought to 1
(audiointerp's rule; 0.6 is an SNR of 20 log10(0.6 / 0.4) = 3.52 dB).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from otoscope.audio import peak, rms
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError, UnknownNameError
from otoscope.core.settings import Argument, Range, read_settings
from otoscope.datasets.cache import Cache, decoded

MADE = ("white", "pink")
Record = dict[str, Any]


@dataclass(frozen=True)
class Contamination:
    """A noise and how loud it is mixed into clips.

    Parameters
    ----------
    noise : str
        ``"white"``, ``"pink"`` (power falls by 3 dB an octave), ``"clip"`` (another clip of ``pool``), or the path of a
        sound file.
    snr_db : float in [-120, 120], dB, optional
        RMS level of the clip over that of the noise, in dB. 0 where neither this nor ``alpha`` is given.
    alpha : float in [0, 1], optional
        Share of the clip when both have an RMS of 1. That is audiointerp's rule; not together with ``snr_db``.
    seed : int >= 0
        Draws the noise, and where a recorded one starts. The clip's key decides, too.
    pool : tuple of path
        The clips that ``"clip"`` draws from.
    cache : path-like or False, optional
        Where decoded noises are kept; see `otoscope.datasets.decoded`.

    Raises
    ------
    ParameterError, UnknownNameError
        For a noise that is none, a number out of range, both rules at once, or an empty pool.

    Notes
    -----
    Source: audiointerp. We repeat a short noise where the original pads it with silence.

    Examples
    --------
    >>> mixed, record = Contamination("white", snr_db=6.0, seed=1)(np.ones(16000, np.float32), 16000, "clip-1")
    >>> round(record["snr_db"], 6)
    6.0
    """

    noise: str
    snr_db: Annotated[float | None, Range(-120.0, 120.0)] = None
    alpha: Annotated[float | None, Range(0.0, 1.0)] = None
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    pool: Annotated[tuple[Path, ...], Argument()] = ()
    cache: Annotated[Cache, Argument()] = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, parameter in PARAMETERS.items():
            object.__setattr__(self, name, parameter.check(getattr(self, name), "contamination"))
        if self.snr_db is not None and self.alpha is not None:
            raise ParameterError(
                f"contamination takes snr_db or alpha; got snr_db={self.snr_db} and alpha={self.alpha}"
            )
        if self.snr_db is None and self.alpha is None:
            object.__setattr__(self, "snr_db", 0.0)
        object.__setattr__(self, "pool", tuple(Path(p) for p in self.pool))
        if self.noise == "clip" and not self.pool:
            raise ParameterError('contamination by "clip" draws from other clips; give them as pool=(path, ...)')
        if self.noise not in (*MADE, "clip") and not Path(self.noise).is_file():
            if os.sep not in self.noise and "." not in self.noise:
                raise UnknownNameError("noise", self.noise, (*MADE, "clip"))
            raise ParameterError(
                f"the noise {self.noise!r} is not a sound file; give {', '.join(MADE)}, clip or a path"
            )

    def __call__(self, waveform: np.ndarray, sample_rate: int, key: str) -> tuple[np.ndarray, Record]:
        """The contaminated clip and what was done.

        Parameters
        ----------
        waveform : ndarray (time,)
            Mono samples, full scale 1.
        sample_rate : int, Hz
            Sample rate.
        key : str
            Who the clip is, such as its file name; with the seed it decides all that is drawn.

        Returns
        -------
        waveform : ndarray (time,), float32
            At an SNR its peak may pass full scale. A silent clip, or one that would get a silent noise, comes back as
            it was: the ratio is undefined.
        record : dict
            ``noise``, ``rule``, ``snr_db`` (of the mix; None where nothing was mixed), ``alpha``, ``seed``, ``key``,
            ``file`` and ``start_s`` of a recorded noise, ``gain`` of the noise, ``note``.

        Raises
        ------
        ShapeError, AudioReadError
        """
        clip = np.asarray(waveform, dtype=np.float64)
        if clip.ndim != 1 or not clip.size:
            raise ShapeError(f"contamination takes a waveform (time,), at least one sample; got shape {clip.shape}")
        noise, origin = self._noise(len(clip), sample_rate, key)
        record: Record = {
            "noise": self.noise if not Path(self.noise).is_file() else Path(self.noise).name,
            "rule": "snr" if self.alpha is None else "alpha",
            "snr_db": None,
            "alpha": self.alpha,
            "seed": self.seed,
            "key": key,
            **origin,
            "gain": 0.0,
            "note": "",
        }
        levels = rms(clip), rms(noise)
        if not min(levels) > 0.0:
            record["note"] = f"nothing was mixed: the {'clip' if levels[0] == 0.0 else 'noise'} is silent"
            return clip.astype(np.float32), record
        mixed, gain, snr_db = self._mix(clip, noise, *levels)
        return mixed.astype(np.float32), {**record, "gain": gain, "snr_db": snr_db}

    def _mix(
        self, clip: np.ndarray, noise: np.ndarray, level: float, noise_level: float
    ) -> tuple[np.ndarray, float, float | None]:
        if self.alpha is None:
            gain = level / noise_level * 10.0 ** (-(self.snr_db or 0.0) / 20.0)
            return clip + gain * noise, gain, self.snr_db
        mixed = self.alpha * clip / level + (1.0 - self.alpha) * noise / noise_level
        top = peak(mixed)
        scale = 1.0 / top if top > 0.0 else 1.0
        within = 0.0 < self.alpha < 1.0
        ratio = 20.0 * math.log10(self.alpha / (1.0 - self.alpha)) if within else None
        return scale * mixed, scale * (1.0 - self.alpha) / noise_level, ratio

    def _noise(self, frames: int, sample_rate: int, key: str) -> tuple[np.ndarray, Record]:
        """``(time,)`` float64, and where it comes from."""
        rng = generator(self.seed, key)
        if self.noise == "white":
            return rng.standard_normal(frames), {"file": None, "start_s": None}
        if self.noise == "pink":
            return pink(frames, rng), {"file": None, "start_s": None}
        file = _other(self.pool, key, rng) if self.noise == "clip" else Path(self.noise)
        recorded = decoded(file, sample_rate, self.cache)
        start = 0 if self.alpha is not None else int(rng.integers(len(recorded)))
        part = np.take(recorded, np.arange(start, start + frames), mode="wrap").astype(np.float64)
        return part, {"file": file.name, "start_s": start / sample_rate}


PARAMETERS = {p.name: p for p in read_settings(Contamination)}


def contaminator(spec: str, pool: Iterable[str | os.PathLike[str]] = (), cache: Cache = None) -> Contamination:
    """A contamination from text such as ``white,snr_db=5``, ``horse.wav,alpha=0.6,seed=3`` or ``clip,snr_db=0``.

    Parameters
    ----------
    spec : str
        Noise and settings, comma-separated.
    pool : iterable of path
        For ``clip``.
    cache : path-like or False, optional
        Folder of the cache; by default that of `decoded`. False: no cache.

    Returns
    -------
    Contamination

    Raises
    ------
    ParameterError, UnknownNameError

    Examples
    --------
    >>> contaminator("pink,snr_db=5,seed=3").snr_db
    5.0
    """
    noise, *options = [part.strip() for part in spec.split(",")]
    if not noise:
        raise ParameterError(f"a contamination is written NOISE or NOISE,setting=value; got {spec!r}")
    given: dict[str, Any] = {}
    for option in options:
        name, found, value = (part.strip() for part in option.partition("="))
        if not found:
            raise ParameterError(f"a setting of a contamination is written key=value; got {option!r} in {spec!r}")
        if name not in PARAMETERS:
            raise UnknownNameError("setting of a contamination", name, PARAMETERS)
        given[name] = PARAMETERS[name].check(value, f"contamination {noise!r}")
    return Contamination(noise, **given, pool=tuple(Path(p) for p in pool), cache=cache)


def pink(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 3 dB an octave: white noise with its spectrum divided by the root of the frequency.

    ``(time,)`` float64, without a constant part; of RMS 1 where it is longer than one sample.
    """
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    spectrum[0] = 0.0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    samples = np.fft.irfft(spectrum, frames)
    level = rms(samples)
    return samples / level if level > 0.0 else samples


def generator(seed: int, key: str) -> np.random.Generator:
    """What draws for one clip: it depends on seed and key alone."""
    words = np.frombuffer(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest(), dtype="<u4")
    return np.random.default_rng([seed, *words.tolist()])


def _other(pool: tuple[Path, ...], key: str, rng: np.random.Generator) -> Path:
    """A clip of the pool that is not the clip itself; keys are file names, paths, or ``label/name@start``."""
    own = key.rsplit("@", 1)[0].rsplit("/", 1)[-1]
    others = [p for p in pool if p.name not in (key, own) and str(p) != key]
    if not others:
        raise AudioReadError(key, "there is no other clip in the pool to mix into it; give more")
    return others[int(rng.integers(len(others)))]

"""The nouns as frozen records.

Axes: samples ``(channel, time)``; grids and masks ``(freq, frame)``, low frequency and early time first.
Units: frequencies in Hz, times in seconds, probabilities in [0, 1].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from otoscope.core.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Clip:
    """A sound in memory.

    Parameters
    ----------
    samples : ndarray (channel, time)
        float32; full scale is 1.
    sample_rate : int, Hz
        Sample rate.
    source : str
        Origin: a path, or ``"array"``, ``"bytes"``, ``"scene"``.
    notes : tuple of str
        What was done to it on loading (resampled, downmixed, padded).

    Examples
    --------
    >>> clip = Clip(np.zeros((2, 16000)), 16000)
    >>> clip.channels, clip.duration
    (2, 1.0)
    """

    samples: np.ndarray
    sample_rate: int
    source: str = "array"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim != 2:
            raise ShapeError(f"a clip's samples are (channel, time); got shape {samples.shape}")
        samples = samples.view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Length in samples."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples from ``start`` to ``stop``, ``(channel, time)``; what lies outside the clip is silence."""
        out = np.zeros((self.channels, stop - start), dtype=np.float32)
        lo, hi = max(start, 0), min(stop, self.frames)
        if hi > lo:
            out[:, lo - start : hi - start] = self.samples[:, lo:hi]
        return out

    def digest(self) -> str:
        """SHA-256 of rate, channels, length and samples, interleaved: the same sound has the same digest."""
        h = hashlib.sha256(f"{self.sample_rate}:{self.channels}:{self.frames}:".encode())
        step = max(1, (1 << 20) // max(1, self.channels))
        for start in range(0, self.frames, step):
            h.update(self.samples[:, start : start + step].T.tobytes())
        return h.hexdigest()


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a domain: where each value of an attribution or a mask lies.

    Parameters
    ----------
    frequencies : ndarray (freq,), Hz
        Centre of each band, rising. A domain without bands (time) has one, and ``scale`` is ``"none"``.
    times : ndarray (frame,), s
        Centre of each frame, rising.
    scale : {"hz", "mel", "none", "components"}
        The axis on which the bands are evenly spaced, and on which masks are interpolated. The rows of ``"components"``
        are parts of the sound: their frequencies only number them.
    domain : str
        Name of the domain.
    duration : float, s
        Length of the clip that the grid covers.
    top_hz : float, Hz
        The classifier's Nyquist frequency: no evidence lies above it.
    rows : tuple of str
        Names of the rows if they are not bands of frequency; else empty.

    Examples
    --------
    >>> Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0).shape
    (2, 1)
    """

    frequencies: np.ndarray
    times: np.ndarray
    scale: str
    domain: str
    duration: float
    top_hz: float
    rows: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(freq, frame)."""
        return len(self.frequencies), len(self.times)


@dataclass(frozen=True, eq=False)
class Attribution:
    """One signed number for each cell: how much the cell contributes to the target.

    Parameters
    ----------
    values : ndarray (freq, frame)
        float32, finite.
    grid : Grid
        Where the cells lie.
    method : str
        Name of the method.
    standard_error : ndarray (freq, frame), optional
        For methods that estimate by sampling.
    facts : mapping of str to float
        Numbers that the method computed along the way: ``samples`` that it used, ``fidelity`` of its surrogate, number of
        ``units``, ``gap`` between the sum of the values and what it should be, the ``change`` of the target's logit.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> Attribution(np.array([[0.5], [-0.1]]), grid, "lime").values.shape
    (2, 1)
    """

    values: np.ndarray
    grid: Grid
    method: str
    standard_error: np.ndarray | None = None
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise ShapeError(f"attribution has shape {self.values.shape} but its grid has {self.grid.shape}")


@dataclass(frozen=True, eq=False)
class Mask:
    """What is kept of each cell.

    Parameters
    ----------
    values : ndarray (freq, frame) in [0, 1]
        1 keeps a cell whole, 0 removes it.
    grid : Grid
        Where the cells lie.
    spec : str
        The mask function and its parameters, e.g. ``"topk:0.3"``.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> Mask(np.array([[1.0], [0.0]]), grid, "binary").size
    0.5
    """

    values: np.ndarray
    grid: Grid
    spec: str

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise ShapeError(
                f"mask has shape {self.values.shape} but its grid has {self.grid.shape}; was it made in another domain?"
            )
        if self.values.size and not (float(self.values.min()) >= 0.0 and float(self.values.max()) <= 1.0):
            raise ShapeError(
                f"mask values must lie in [0, 1]; got {float(self.values.min()):.4g} to {float(self.values.max()):.4g}"
            )

    @property
    def size(self) -> float:
        """Mean of the mask: the share of the grid that is kept, in [0, 1]."""
        return float(self.values.mean()) if self.values.size else 0.0


@dataclass(frozen=True)
class Target:
    """The class that is explained.

    Examples
    --------
    >>> Target(3, "dog").label
    'dog'
    """

    index: int
    label: str


@dataclass(frozen=True)
class Scores:
    """The classifier's probabilities of the original, the kept and the removed sound.

    Parameters
    ----------
    original, kept, removed : ndarray (class,)
        Probabilities, in [0, 1].

    Examples
    --------
    >>> scores = Scores(np.array([0.1, 0.9]), np.array([0.2, 0.8]), np.array([0.7, 0.3]))
    >>> scores.of(1)
    {'original': 0.9, 'kept': 0.8, 'removed': 0.3}
    """

    original: np.ndarray
    kept: np.ndarray
    removed: np.ndarray

    def of(self, index: int) -> dict[str, float]:
        """Probabilities of one class, by part."""
        return {part: float(getattr(self, part)[index]) for part in ("original", "kept", "removed")}

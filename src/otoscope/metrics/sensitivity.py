"""How much an explanation changes under small changes of the sound: a little noise, or a shift by whole frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from otoscope.core.errors import ParameterError, ShapeError
from otoscope.metrics.sanity import as_draws, sanity_metric


@sanity_metric(
    "sensitivity_max", short="Sens-max", higher_is_better=False, low=0.0, high=None, source="yeh2019infidelity",
    means="Largest relative change of the attribution under small changes of the sound.",
)  # fmt: skip
def sensitivity_max(values: np.ndarray, changed: np.ndarray) -> float:
    """Largest relative change of an attribution among those of slightly changed sounds.

    Parameters
    ----------
    values : ndarray (freq, frame)
        Of the sound itself.
    changed : ndarray (draw, freq, frame)
        Of the changed sounds.

    Returns
    -------
    float
        NaN where the attribution is 0 throughout.

    Notes
    -----
    Source: yeh2019infidelity; relative to the norm of the attribution, so that methods can be compared.
    """
    return float(np.max(_changes(values, changed)))


@sanity_metric(
    "sensitivity_mean", short="Sens-mean", higher_is_better=False, low=0.0, high=None, source="yeh2019infidelity",
    means="Mean relative change of the attribution under small changes of the sound.",
)  # fmt: skip
def sensitivity_mean(values: np.ndarray, changed: np.ndarray) -> float:
    """Mean relative change of an attribution over slightly changed sounds.

    Parameters
    ----------
    values : ndarray (freq, frame)
        Attribution of the sound itself.
    changed : ndarray (draw, freq, frame)
        Attributions of the changed sounds.

    Returns
    -------
    float
        NaN where the attribution is 0 throughout.

    Notes
    -----
    Source: yeh2019infidelity; as `sensitivity_max`, with the mean for the largest.
    """
    return float(np.mean(_changes(values, changed)))


def relative_change(values: np.ndarray, changed: np.ndarray) -> float:
    """Norm of the difference over the norm of ``values``; NaN where that is 0."""
    a, b = np.asarray(values, np.float64), np.asarray(changed, np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"only attributions of one shape can be compared; got {a.shape} and {b.shape}")
    largest = float(np.abs(a).max()) if a.size else 0.0
    return float(np.linalg.norm((b - a) / largest) / np.linalg.norm(a / largest)) if largest > 0 else math.nan


def _changes(values: np.ndarray, changed: np.ndarray) -> list[float]:
    return [relative_change(values, one) for one in as_draws(changed)] or [math.nan]


def noisy(waveform: np.ndarray, noise_db: float = -40.0, draws: int = 8, seed: int = 0) -> np.ndarray:
    """Copies ``(draw, time)`` of a sound with a little white noise, as in `noise_sensitivity`; a silent sound stays silent."""
    wave = _wave(waveform)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise ParameterError(f"draws must be a whole number of at least 1; got {draws!r}")
    noise = np.random.default_rng(seed).standard_normal((draws, len(wave)))
    level = float(np.sqrt(np.mean(wave**2))) * 10 ** (noise_db / 20)
    noise *= level / np.maximum(np.sqrt(np.mean(noise**2, axis=1, keepdims=True)), 1e-30)
    return (wave + noise).astype(waveform.dtype)


def shifted(waveform: np.ndarray, samples: int) -> np.ndarray:
    """A sound ``(time,)``, delayed by ``samples`` (advanced if negative) and padded with silence."""
    wave = np.zeros_like(waveform)
    n = min(abs(samples), len(wave))
    if samples >= 0:
        wave[n:] = waveform[: len(wave) - n]
    else:
        wave[: len(wave) - n] = waveform[n:]
    return wave


def realigned(values: np.ndarray, changed: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames that an attribution and that of a sound ``frames`` frames later have in common, ``(freq, frame)`` each."""
    length = np.shape(values)[-1] - abs(frames)
    if np.shape(values) != np.shape(changed) or length < 1:
        raise ShapeError(
            f"{np.shape(values)} and {np.shape(changed)} have no frames in common after a shift of {frames}"
        )
    here, there = max(-frames, 0), max(frames, 0)
    return np.asarray(values)[..., here : here + length], np.asarray(changed)[..., there : there + length]


def noise_sensitivity(
    attribute: Callable[[np.ndarray], np.ndarray],
    waveform: np.ndarray,
    noise_db: float = -40.0,
    draws: int = 8,
    seed: int = 0,
) -> tuple[float, float]:
    """Largest and mean relative change of an attribution when a little noise is added.

    Parameters
    ----------
    attribute : callable
        Sounds ``(draw, time)`` -> attributions ``(draw, freq, frame)``, with one seed for all.
    waveform : ndarray (time,)
        The sound, mono.
    noise_db : float, dB
        Level of the noise relative to the sound's.
    draws : int
        Number of noisy copies, at least 1.
    seed : int
        Seed of the noise.

    Returns
    -------
    (float, float)
        `sensitivity_max` and `sensitivity_mean`.

    Notes
    -----
    Source: yeh2019infidelity, with noise of one level for a ball.

    Examples
    --------
    >>> noise_sensitivity(lambda sounds: np.ones((len(sounds), 2, 3)), np.ones(100))
    (0.0, 0.0)
    """
    values, *changed = attribute(np.concatenate([_wave(waveform)[None], noisy(waveform, noise_db, draws, seed)]))
    return sensitivity_max(values, np.stack(changed)), sensitivity_mean(values, np.stack(changed))


def shift_sensitivity(
    attribute: Callable[[np.ndarray], np.ndarray],
    waveform: np.ndarray,
    frame_samples: float,
    frames: Sequence[int] = (-2, -1, 1, 2),
) -> tuple[float, float]:
    """Largest and mean relative change of an attribution when the sound comes whole frames earlier or later.

    Parameters
    ----------
    attribute : callable
        As in `noise_sensitivity`.
    waveform : ndarray (time,)
        The sound, mono.
    frame_samples : float
        Distance of frames; if it is not a whole number, the shift is rounded to samples.
    frames : sequence of int
        Shifts; the attributions are moved back before they are compared, and only frames that both have count.

    Returns
    -------
    (float, float)
        As `sensitivity_max` and `sensitivity_mean`.

    Notes
    -----
    Source: yeh2019infidelity, with shifts for noise.

    Examples
    --------
    >>> shift_sensitivity(lambda sounds: np.ones((len(sounds), 2, 5)), np.ones(100), frame_samples=20)
    (0.0, 0.0)
    """
    if not frames or not frame_samples > 0:
        raise ParameterError(
            f"shifts need whole frames and their length in samples; got {frames!r} of {frame_samples!r}"
        )
    wave = _wave(waveform)
    values, *changed = attribute(np.stack([wave, *(shifted(wave, round(n * frame_samples)) for n in frames)]))
    found = [relative_change(*realigned(values, one, n)) for n, one in zip(frames, changed, strict=True)]
    return float(np.max(found)), float(np.mean(found))


def _wave(waveform: np.ndarray) -> np.ndarray:
    wave = np.asarray(waveform)
    if wave.ndim != 1 or not len(wave):
        raise ShapeError(f"a sound that is changed is (time,); got shape {wave.shape}")
    return wave

"""Whether an explanation depends on what it should: on the network's parameters, not on chance or tiny changes.

Attributions are ``(freq, frame)``; several of one clip ``(draw, freq, frame)``. Methods are passed as callables.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.core.registry import register
from otoscope.metrics.ranks import correlation, rank_correlation
from otoscope.metrics.ssim import ssim
from otoscope.surgery import randomised, top_down

UNCHANGED = 0.5
STAGES = 4
SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "rank": rank_correlation, "rank_absolute": lambda a, b: rank_correlation(np.abs(a), np.abs(b)),
    "pearson": correlation, "ssim": ssim,
}  # fmt: skip
_sanity = partial(register, "metric", family="sanity", of="sanity", unit="")


@_sanity(
    "randomisation_similarity", short="Random net", higher_is_better=False, low=-1.0, high=1.0, source="adebayo2018sanity",
    means="Rank correlation of the attribution with that of the same network with random parameters.",
)  # fmt: skip
def randomisation_similarity(trained: np.ndarray, random: np.ndarray) -> float:
    """Rank correlation of the attributions of a trained and of a random network: near 0 if the method depends on the parameters.

    Parameters
    ----------
    trained, random : ndarray (freq, frame)
        Attributions of one clip by the trained and by the randomised network.

    Returns
    -------
    float in [-1, 1]
        From 0.5 on, the explanation counts as unchanged; NaN where one of them is even.

    Notes
    -----
    Source: adebayo2018sanity; the threshold is ours.
    """
    return rank_correlation(trained, random)


@_sanity(
    "seed_agreement", short="Seeds agree", higher_is_better=True, low=-1.0, high=1.0, source="visani2022statistical",
    means="Mean rank correlation of the attributions of one clip under different seeds.",
)  # fmt: skip
def seed_agreement(values: np.ndarray) -> float:
    """Mean rank correlation of all pairs of attributions that differ in their seed alone.

    Parameters
    ----------
    values : ndarray (seed, freq, frame)
        Attributions of one clip, one per seed.

    Returns
    -------
    float in [-1, 1]
        1 for a method without chance; NaN for fewer than two seeds, or where one attribution is even.

    Notes
    -----
    Source: visani2022statistical for the question, there about selected features.

    Examples
    --------
    >>> one = np.arange(6.0).reshape(2, 3)
    >>> round(seed_agreement(np.stack([one, 2 * one])), 6)
    1.0
    """
    values = _draws(values)
    pairs = [rank_correlation(a, b) for i, a in enumerate(values) for b in values[:i]]
    return float(np.mean(pairs)) if pairs else math.nan


@_sanity(
    "seed_spread", short="Seed spread", higher_is_better=False, low=0.0, high=None, source="visani2022statistical",
    means="Standard deviation of the attribution over seeds, relative to the size of their mean.",
)  # fmt: skip
def seed_spread(values: np.ndarray) -> float:
    """Spread of attributions over seeds, relative to their size.

    The root mean square of the cells' standard deviations, divided by that of their means.

    Parameters
    ----------
    values : ndarray (seed, freq, frame)
        Attributions of one clip, one per seed.

    Returns
    -------
    float
        0 for a method without chance; NaN for fewer than two seeds, or where their mean is 0 throughout.

    Notes
    -----
    Source: visani2022statistical for the question.

    Examples
    --------
    >>> one = np.arange(6.0).reshape(2, 3)
    >>> seed_spread(np.stack([one, one]))
    0.0
    """
    values = _draws(values)
    if len(values) < 2 or not values.any():
        return math.nan
    values = values / np.abs(values).max()
    noise, signal = (float(np.sqrt(np.mean(x**2))) for x in (values.std(0, ddof=1), values.mean(0)))
    return noise / signal if signal > 0 else math.nan


@_sanity(
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


@_sanity(
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
    return [relative_change(values, one) for one in _draws(changed)] or [math.nan]


def _draws(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 3:
        raise ShapeError(f"attributions of several draws are (draw, freq, frame); got shape {values.shape}")
    if not np.isfinite(values).all():
        raise NonFiniteError("an attribution that is compared holds NaN or infinity")
    return values


@dataclass(frozen=True)
class Cascade:
    """Similarity between explanations of the trained network and of increasingly random ones.

    Parameters
    ----------
    stages : tuple of tuple of str
        Layers that became random at each stage; those of earlier stages stayed so.
    similarities : mapping of str to ndarray (stage, clip)
        ``rank`` and ``rank_absolute`` (Spearman), ``pearson`` and ``ssim``.

    Examples
    --------
    >>> found = Cascade((("2",), ("0",)), {"rank": np.array([[0.9], [0.1]])})
    >>> found.similarity, found.unchanged
    (array([0.1]), False)
    """

    stages: tuple[tuple[str, ...], ...]
    similarities: dict[str, np.ndarray]

    @property
    def likeness(self) -> dict[str, np.ndarray]:
        """Deprecated: `similarities`."""
        warnings.warn("Cascade.likeness is deprecated; use similarities", DeprecationWarning, stacklevel=2)
        return self.similarities

    @property
    def similarity(self) -> np.ndarray:
        """Rank correlation with the wholly random network, ``(clip,)``."""
        return self.similarities["rank"][-1]

    @property
    def unchanged(self) -> bool:
        """Whether the explanations hardly depend on the network: their mean rank correlation with those of the wholly random
        network, of clips on which there is one, is at least 0.5.
        """
        known = self.similarity[~np.isnan(self.similarity)]
        return bool(len(known)) and float(known.mean()) >= UNCHANGED


def cascade(
    attribute: Callable[[], np.ndarray],
    network: nn.Module,
    stages: int | Sequence[Sequence[str]] | None = STAGES,
    seed: int = 0,
) -> Cascade:
    """Cascading parameter randomisation: randomise the network from the output down and compare its explanations.

    Parameters
    ----------
    attribute : callable
        Gives the attributions ``(clip, freq, frame)`` of some clips by the network as it is now; called once more than
        there are stages.
    network : nn.Module
        The network; it is restored, also after an error.
    stages : int, or sequence of sequences of str, optional
        Number of groups of layers, or the names of the layers of each group; None for one layer at a time. Unused layers
        are left out.
    seed : int
        Seed of the random parameters.

    Returns
    -------
    Cascade

    Raises
    ------
    UnknownNameError, ParameterError
        If there is no such layer, or there are none.
    ShapeError, NonFiniteError
        If attributions change their shape, or are not finite.

    Notes
    -----
    Source: adebayo2018sanity.

    Examples
    --------
    >>> net = torch.nn.Linear(8, 8)
    >>> x = torch.ones(1, 8)
    >>> found = cascade(lambda: net(x).detach().numpy().reshape(1, 2, 4), net, stages=1)
    >>> found.stages, found.similarity.shape
    ((('',),), (1,))
    """
    if stages is None or isinstance(stages, int):
        first: list[np.ndarray] = []
        groups = top_down(network, stages, lambda: first.append(_draws(attribute())))
        trained = first[0]
    else:
        groups = [tuple(group) for group in stages]
        if not groups:
            raise ParameterError("cascading randomisation needs at least one stage")
        trained = _draws(attribute())
    rows: dict[str, list[list[float]]] = {name: [] for name in SIMILARITIES}
    for n in range(1, len(groups) + 1):
        with randomised(network, [layer for group in groups[:n] for layer in group], seed):
            found = _draws(attribute())
        if found.shape != trained.shape:
            raise ShapeError(f"attributions changed their shape from {trained.shape} to {found.shape}")
        for name, like in SIMILARITIES.items():
            rows[name].append([like(a, b) for a, b in zip(trained, found, strict=True)])
    return Cascade(tuple(groups), {name: np.array(found) for name, found in rows.items()})


def noisy(waveform: np.ndarray, noise_db: float = -40.0, draws: int = 8, seed: int = 0) -> np.ndarray:
    """Copies of a sound with a little white noise.

    Parameters
    ----------
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
    ndarray (draw, time)
        A silent sound stays silent.
    """
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
        Distance of frames; where it is no whole number, the shift is rounded to samples.
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

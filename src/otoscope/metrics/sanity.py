"""Whether an explanation depends on the network's parameters, and not on the seed.

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
from otoscope.metrics.signal import ssim
from otoscope.surgery import randomised, top_down

UNCHANGED = 0.5
STAGES = 4
SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "rank": rank_correlation, "rank_absolute": lambda a, b: rank_correlation(np.abs(a), np.abs(b)),
    "pearson": correlation, "ssim": ssim,
}  # fmt: skip
sanity_metric = partial(register, "metric", family="sanity", of="sanity", unit="")


@sanity_metric(
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


@sanity_metric(
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
    values = as_draws(values)
    pairs = [rank_correlation(a, b) for i, a in enumerate(values) for b in values[:i]]
    return float(np.mean(pairs)) if pairs else math.nan


@sanity_metric(
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
    values = as_draws(values)
    if len(values) < 2 or not values.any():
        return math.nan
    values = values / np.abs(values).max()
    noise, signal = (float(np.sqrt(np.mean(x**2))) for x in (values.std(0, ddof=1), values.mean(0)))
    return noise / signal if signal > 0 else math.nan


def as_draws(values: np.ndarray) -> np.ndarray:
    """Attributions ``(draw, freq, frame)`` as float64, checked."""
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
    run: Callable[[], object] | None = None,
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
    run : callable, optional
        Runs the network once on these clips: the statistics of randomised batch norms are then estimated on them. Without it,
        those of the trained network stay, with which a deep network hardly distinguishes clips.

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
        groups = top_down(network, stages, lambda: first.append(as_draws(attribute())))
        trained = first[0]
    else:
        groups = [tuple(group) for group in stages]
        if not groups:
            raise ParameterError("cascading randomisation needs at least one stage")
        trained = as_draws(attribute())
    rows: dict[str, list[list[float]]] = {name: [] for name in SIMILARITIES}
    for n in range(1, len(groups) + 1):
        with randomised(network, [layer for group in groups[:n] for layer in group], seed, run):
            found = as_draws(attribute())
        if found.shape != trained.shape:
            raise ShapeError(f"attributions changed their shape from {trained.shape} to {found.shape}")
        for name, like in SIMILARITIES.items():
            rows[name].append([like(a, b) for a, b in zip(trained, found, strict=True)])
    return Cascade(tuple(groups), {name: np.array(found) for name, found in rows.items()})

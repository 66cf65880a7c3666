"""RISE: many random soft masks, weighted by what the classifier says of them."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result
from otoscope.attribution.sampling import Draws, tolerance
from otoscope.core.registry import Parameter, register


@register(
    "method",
    "rise",
    family="perturbation",
    parameters=(
        Parameter("masks", int, 500, "random masks", 2, 100000),
        Parameter("cells_freq", int, 8, "random cells along frequency", 1, 512),
        Parameter("cells_time", int, 16, "random cells along time", 1, 4096),
        Parameter("keep", float, 0.5, "probability that a cell is kept", 0.01, 0.99),
        Parameter("centred", bool, True, "subtract the means: signed, and free of the masks' own pattern"),
        tolerance(0.0),
    ),
    needs="",
    signed=True,
    complete=False,
    deterministic=False,
    domains="stft, mel, time, features, components, superpixels",
    cost="masks forward",
    passes=lambda masks, **_: masks,
    source="petsiuk2018rise",
)
def rise(
    problem: Problem, masks: int, cells_freq: int, cells_time: int, keep: float, centred: bool, tolerance: float
) -> Result:
    """Mean of random masks, weighted by the target's probability under them.

    Parameters
    ----------
    problem : Problem
    masks, cells_freq, cells_time : int
        Fewer cells where the grid has fewer.
    keep : float
    centred : bool
        True: covariance of mask and probability over the mask's variance, so that a cell without influence gets 0.
        False: the paper's weighted mean, which is never negative.
    tolerance : float
        Above 0: a clip is done when its largest standard error is below this share of its largest value.

    Returns
    -------
    Result
        With standard errors, and the number of ``samples`` used for each clip.

    Notes
    -----
    Source: petsiuk2018rise, eq. 6; the centred form differs as said.
    """
    device = problem.targets.device
    if problem.inspected.grid.scale == "components":
        cells_freq = problem.shape[0]  # parts of the sound have no neighbours
    drawn = random_masks(masks, problem.shape, (cells_freq, cells_time), keep, problem.rng()).to(device)
    scores = torch.zeros(masks, problem.batch, device=device)

    def estimate(clips: Tensor, n: int) -> tuple[Tensor, Tensor]:
        return weighted_mean(scores[:n, clips], drawn[:n], keep, centred)

    draws = Draws(problem, masks, tolerance, estimate)
    for sample, clip in draws:
        scores[sample, clip] = problem.probability(drawn[sample], clip)
    values = torch.zeros(problem.batch, *problem.shape, device=device)
    errors = torch.zeros_like(values)
    for clips, n in draws.groups():
        values[clips], errors[clips] = estimate(clips, n)
    return Result(values, errors, {"samples": draws.used})


def weighted_mean(scores: Tensor, drawn: Tensor, keep: float, centred: bool) -> tuple[Tensor, Tensor]:
    """Values and standard errors ``(batch, freq, frame)`` from scores ``(mask, batch)`` of masks ``(mask, freq, frame)``."""
    if centred:
        weights = scores - scores.mean(0)
        drawn = drawn - drawn.mean(0)
        drawn /= drawn.square().mean(0).clamp_min(1e-8)
    else:
        weights = scores / keep
    return _mean(weights.T, drawn)


def _mean(weights: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over masks of weight times mask for each clip, and its standard error; no product of all is ever held."""
    n = len(drawn)
    flat = drawn.flatten(1)
    mean = weights @ flat / n
    squares = weights.square() @ flat.square() / n
    error = ((squares - mean.square()).clamp_min(0) / (n - 1)).sqrt()
    shape = (-1, *drawn.shape[1:])
    return mean.reshape(shape), error.reshape(shape)


def random_masks(n: int, shape: tuple[int, int], cells: tuple[int, int], keep: float, rng: torch.Generator) -> Tensor:
    """Random coarse masks, enlarged bilinearly and shifted by less than a cell, ``(n, *shape)`` in [0, 1]."""
    coarse = tuple(min(c, s) for c, s in zip(cells, shape, strict=True))
    sizes = tuple(-(-s // c) for s, c in zip(shape, coarse, strict=True))
    grid = (torch.rand(n, 1, coarse[0] + 1, coarse[1] + 1, generator=rng) < keep).float()
    large = torch.nn.functional.interpolate(
        grid, size=[(c + 1) * s for c, s in zip(coarse, sizes, strict=True)], mode="bilinear", align_corners=False
    )[:, 0].clamp_(0, 1)  # interpolation may overshoot by a rounding
    shifts = [torch.randint(0, s, (n,), generator=rng) for s in sizes]
    return torch.stack(
        [
            large[i, int(f) : int(f) + shape[0], int(t) : int(t) + shape[1]]
            for i, (f, t) in enumerate(zip(*shifts, strict=True))
        ]
    )

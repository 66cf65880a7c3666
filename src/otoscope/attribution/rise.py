"""RISE: many random soft masks, weighted by the classifier's scores."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result
from otoscope.attribution.sampling import ROUNDING, Draws, Tolerance
from otoscope.attribution.units import apart, count, paint, segments_of
from otoscope.core.registry import Range, register


@register(
    "method", "rise", family="perturbation", mask="smallest", signed=True, complete=False, deterministic=False,
    cost="masks forward", passes=lambda masks, **_: masks, source="petsiuk2018rise",
)  # fmt: skip
def rise(
    problem: Problem,
    masks: Annotated[int, Range(2, 100000)] = 500,
    cells_freq: Annotated[int, Range(1, 512)] = 8,
    cells_time: Annotated[int, Range(1, 4096)] = 16,
    keep: Annotated[float, Range(0.01, 0.99)] = 0.5,
    centred: bool = True,
    tolerance: Tolerance = 0.0,
) -> Result:
    """Mean of random masks, weighted by the target's probability under them.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    masks : int
        Random masks.
    cells_freq : int
        Random cells along frequency. Fewer where the grid has fewer; where the domain has segments (superpixels), these
        are the cells.
    cells_time : int
        Random cells along time.
    keep : float
        Probability that a cell is kept.
    centred : bool
        Subtract the means: signed, and free of the masks' own pattern. True: covariance of mask and probability
        over the mask's variance, so that a cell without influence gets 0. False: the paper's weighted mean, which
        is never negative.
    tolerance : float
        Above 0: a clip is done when its largest standard error is below this share of its largest value.

    Returns
    -------
    Result
        With standard errors, and the number of ``samples`` used for each clip.

    Notes
    -----
    Source: petsiuk2018rise, eq. 6; the centred form differs as described.
    """
    labels, device = segments_of(problem), problem.targets.device
    drawn: SegmentMasks | CellMasks
    if labels is not None:
        drawn = SegmentMasks(masks, labels, keep, problem.rng())
    else:
        cells_freq = problem.shape[0] if apart(problem) else cells_freq  # parts of the sound have no neighbours
        drawn = CellMasks(masks, problem.shape, (cells_freq, cells_time), keep, problem.rng())
    sums = Sums(problem.batch, problem.shape, device)

    def estimate(clips: Tensor, n: int) -> tuple[Tensor, Tensor]:
        return sums.estimate(clips, keep, centred)

    draws = Draws(problem, masks, tolerance, estimate)
    for sample, clip in draws:
        mask = drawn(sample, clip)
        sums.add(clip, problem.probability(mask, clip), mask)
    return Result(*draws.estimates(), {"samples": draws.used})


class Sums:
    """Sums over masks of score and mask, and of their products up to the squares: memory does not grow with the masks.

    In float64, scores counted from each clip's first, so that nothing is lost where scores hardly change.
    """

    def __init__(self, batch: int, shape: tuple[int, int], device: torch.device):
        self.first = torch.full((batch,), torch.nan, dtype=torch.float64, device=device)
        self.of_scores = torch.zeros(3, batch, 1, 1, dtype=torch.float64, device=device)  # powers 0 to 2
        self.of_both = torch.zeros(3, 2, batch, *shape, dtype=torch.float64, device=device)  # times mask, squared mask

    def add(self, clip: Tensor, scores: Tensor, masks: Tensor) -> None:
        """Scores ``(any,)`` of masks ``(any, freq, frame)`` on clips ``(any,)``."""
        scores, masks = scores.double(), masks.double()
        for i in self.first[clip].isnan().nonzero()[:, 0].flip(0).tolist():
            self.first[clip[i]] = scores[i]
        scores = (scores - self.first[clip])[:, None, None]
        for power in range(3):
            self.of_scores[power].index_add_(0, clip, scores**power)
        for power, squared in itertools.product(range(3), range(2)):
            self.of_both[power, squared].index_add_(0, clip, scores**power * masks ** (1 + squared))

    def estimate(self, clips: Tensor, keep: float, centred: bool) -> tuple[Tensor, Tensor]:
        """Values and standard errors ``(clip, freq, frame)`` by what has been added."""
        n, s, ss = self.of_scores[:, clips]
        (m, mm), (sm, smm), (ssm, ssmm) = self.of_both[:, :, clips]
        # Weights are scores minus t, deviations are masks minus c.
        t, c = (s / n, m / n) if centred else (-self.first[clips, None, None], torch.zeros_like(m))
        by = (mm / n - c.square()).clamp_min(1e-8) if centred else torch.full_like(m, keep)
        mean = (sm - t * m) / n
        spread = (ss / n - (s / n).square()).clamp_min(0).sqrt()
        alive = (spread > ROUNDING * self.first[clips, None, None].abs()) | (not centred)
        ww, wwm, wwmm = (x - 2 * t * y + t.square() * z for x, y, z in ((ss, s, n), (ssm, sm, m), (ssmm, smm, mm)))
        squares = (wwmm - 2 * c * wwm + c.square() * ww) / n
        error = ((squares - mean.square()).clamp_min(0) / (n - 1)).sqrt()
        return tuple((x * alive / by).float() for x in (mean, error))


class CellMasks:
    """Random coarse masks, enlarged bilinearly and shifted by less than a cell; enlarged on demand.

    They have ``cells`` (freq, frame), fewer where the grid of ``shape`` has fewer, each kept with probability ``keep``.
    Random numbers are drawn on the CPU.
    """

    def __init__(self, n: int, shape: tuple[int, int], cells: tuple[int, int], keep: float, rng: torch.Generator):
        self.shape, coarse = shape, tuple(min(c, s) for c, s in zip(cells, shape, strict=True))
        self.step = tuple(-(-s // c) for s, c in zip(shape, coarse, strict=True))
        self.coarse = (
            torch.rand(n, 1, coarse[0] + 1, coarse[1] + 1, generator=rng, dtype=torch.float32) < keep
        ).float()
        self.shifts = torch.stack([torch.randint(0, s, (n,), generator=rng) for s in self.step], 1)

    def __call__(self, sample: Tensor, _clip: Tensor) -> Tensor:
        """Masks ``(any, freq, frame)`` in [0, 1] of these numbers."""
        coarse = self.coarse[sample.cpu()]
        size = [c * s for c, s in zip(coarse.shape[2:], self.step, strict=True)]
        large = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[:, 0]
        large.clamp_(0, 1)  # interpolation may overshoot by a rounding
        shifts = self.shifts[sample.cpu()].tolist()
        cut = [x[f : f + self.shape[0], t : t + self.shape[1]] for x, (f, t) in zip(large, shifts, strict=True)]
        return torch.stack(cut).to(sample.device)


class SegmentMasks:
    """Random masks of whole segments, each kept with probability ``keep``; all clips see the same random numbers.

    ``labels`` ``(batch, freq, frame)`` are the segments of the cells, from 0 up.
    """

    def __init__(self, n: int, labels: Tensor, keep: float, rng: torch.Generator):
        self.labels, segments = labels, int(count(labels).max())
        # one segment after another, so that a clip's numbers do not depend on the number of segments of others
        drawn = torch.stack([torch.rand(n, generator=rng, dtype=torch.float32) for _ in range(segments)], 1)
        self.kept = (drawn < keep).float().to(labels.device)

    def __call__(self, sample: Tensor, clip: Tensor) -> Tensor:
        """Masks ``(any, freq, frame)`` of these numbers on these clips."""
        return paint(self.labels[clip], self.kept[sample])

"""Mask evolution: a mask per clip that is searched for with the classifier's answers alone, for classifiers without gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from otoscope.attribution.base import Problem, Result, log_odds
from otoscope.attribution.units import apart
from otoscope.core.registry import Range, register

# Of the cells; evolution starts at the best one.
SHARES = (0.02, 0.04, 0.07, 0.11, 0.15, 0.2, 0.27, 0.37, 0.5, 0.65)
SMALL = 0.151  # share at which a mask that is good enough need not be smaller
LOST = 0.05  # probability of the target on the removed sound at which it counts as lost
UNSURE = 0.5  # probability of the original below which less is enough
PATIENCE = 2  # generations without a smaller mask that is good enough, after which evolution ends
LEAST, MOST = 0.01, 0.9  # shares that are tried
ELITE = 1 / 7  # of a population
SPREAD = 0.5  # standard deviation of the logarithm of shares within a generation
CLIP = 2.0  # standard deviations beyond which a difference counts no more


@register(
    "method", "mask_evolution", family="optimisation", signed=True, complete=False, deterministic=False, mask="binary",
    cost="2 * (pairs + 11 + generations * population) forward",
    passes=lambda pairs, generations, population, **_: 2 * (1 + pairs + len(SHARES) + generations * population),
    source="covert2021kernelshap, petsiuk2018rise, beyer2002evolution",
)  # fmt: skip
def mask_evolution(
    problem: Problem,
    pairs: Annotated[int, Range(2, 100000)] = 60,
    generations: Annotated[int, Range(0, 10000)] = 20,
    population: Annotated[int, Range(2, 10000)] = 28,
    size: Annotated[float, Range(0.0, 1000.0)] = 0.3,
    enough: Annotated[float, Range(0.0, 100.0)] = 0.9,
    smooth_freq: Annotated[float, Range(0.0, 100.0)] = 1.0,
    smooth_time: Annotated[float, Range(0.0, 100.0)] = 1.5,
) -> Result:
    """A ranking of cells, such that the sound of the first ones keeps the target and the sound of the rest loses it.

    Smooth random masks are drawn first, and a linear model of the difference between the target's log-odds on the kept and on
    the removed sound is fitted to them. An evolution strategy then improves its weights: the masks of a generation are the weights
    with smooth noise, cut at various shares; the mean of the best of them begins the next.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    pairs : int
        Random masks of half of the cells, each with its complement.
    generations : int
        Steps of evolution, at most.
    population : int
        Masks of a generation; the best seventh survives.
    size : float
        Weight of the share of cells that is kept: higher keeps less.
    enough : float
        A clip is done when the target's probability on the kept sound exceeds that on the removed sound by this much, and the
        latter is at most 0.05. A clip on which the original has less than one half needs only that share of it. Above 1, all
        generations are used.
    smooth_freq, smooth_time : float, cells
        Standard deviation of the smoothing of noise. In domains whose rows are parts of the sound, there is none along frequency.

    Returns
    -------
    Result
        Above 0 are the cells of the best mask that was scored: the mask ``binary`` keeps them, ``smallest`` searches the ranking
        for another share. The largest value is the difference of probability that this mask makes. With the number of ``samples``,
        masks of which both parts were scored.

    Notes
    -----
    Source: covert2021kernelshap for pairs of complements; petsiuk2018rise for smooth masks; beyer2002evolution for the strategy,
    with means of the best and a fixed step size. Both parts of a mask are scored, as for `mask_optimisation`.
    """
    blur = _Blur(0.0 if apart(problem) else smooth_freq, smooth_time)
    strategy = _Strategy(pairs, generations, population, size, enough, blur)
    found, used = zip(*(strategy.run(problem, clip) for clip in range(problem.batch)), strict=True)
    return Result(torch.stack(found), None, {"samples": torch.tensor(used, dtype=torch.float32)})


class _Blur:
    """Gaussian smoothing of ``(any, freq, frame)``; the edges repeat."""

    def __init__(self, freq: float, time: float):
        self.sigmas = (freq, time)

    def __call__(self, values: Tensor) -> Tensor:
        for axis, sigma in enumerate(self.sigmas, start=1):
            if sigma > 0 and values.shape[axis] > 1:
                values = self._along(values, sigma, axis)
        return values

    @staticmethod
    def _along(values: Tensor, sigma: float, axis: int) -> Tensor:
        reach = math.ceil(3 * sigma)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
        moved = values.transpose(axis, -1)
        padded = functional.pad(moved, (reach, reach), mode="replicate")
        smoothed = functional.conv1d(padded.reshape(-1, 1, padded.shape[-1]), (kernel / kernel.sum())[None, None])
        return smoothed.view(moved.shape).transpose(axis, -1).contiguous()


class _Best:
    """The smallest mask that is good enough; without one, the fittest so far."""

    def __init__(self, enough: float) -> None:
        self.enough = enough  # difference of the target's probability on the two parts
        self.fitness = self.gain = -math.inf
        self.good = False
        self.waited = 0  # generations without a smaller one, once one is good enough
        self.ranking, self.share = torch.zeros(1, 1), 1.0

    def update(self, candidates: Tensor, shares: Tensor, fitness: Tensor, kept: Tensor, removed: Tensor) -> None:
        """Take over the best one of some rankings cut at shares, if it is better."""
        gain = kept - removed
        good = (gain >= self.enough) & (removed <= LOST)
        if self.good:
            good &= shares < self.share
            self.waited = 0 if good.any() else self.waited + 1
            if not good.any():
                return
        i = int(torch.where(good, shares, math.inf).argmin()) if good.any() else int(fitness.argmax())
        if good.any() or float(fitness[i]) > self.fitness:
            self.fitness, self.gain = float(fitness[i]), float(gain[i])
            self.ranking, self.share = candidates[i], float(shares[i])
            self.good |= bool(good.any())

    @property
    def done(self) -> bool:
        """Whether the mask is good enough, and small or not getting smaller."""
        return self.good and (self.share <= SMALL or self.waited >= PATIENCE)

    def values(self) -> Tensor:
        """The ranking, with 0 below the cells of the mask; its largest value is the mask's gain."""
        ordered = self.ranking.flatten().sort(descending=True).values
        values = self.ranking - ordered[_count(self.share, len(ordered)) - 1] + 1e-6
        return values * (max(self.gain, 1e-3) / values.abs().max())


@dataclass(frozen=True)
class _Strategy:
    """Settings of `mask_evolution`."""

    pairs: int
    generations: int
    population: int
    size: float
    enough: float
    blur: _Blur

    def run(self, problem: Problem, clip: int) -> tuple[Tensor, int]:
        """The values of one clip's cells, ``(freq, frame)``, and the number of masks that were scored."""
        rng, device = problem.rng(), problem.targets.device
        masks = (self._noise(problem, clip, rng, self.pairs) > 0).float()
        kept, removed = _log_odds_of_parts(problem, clip, torch.cat([masks, torch.ones_like(masks[:1])]))
        original, kept, removed = float(kept[-1].sigmoid()), kept[:-1], removed[:-1]
        values = _standard(fit_differences(masks, kept - removed)[None])[0]
        survivors = max(1, round(ELITE * self.population))
        tried = torch.tensor(SHARES, device=device)
        candidates = values.expand(len(tried), *values.shape)
        unsure = original < UNSURE and self.enough <= 1
        best = _Best(self.enough * (original if unsure else 1.0))
        used = 1 + self.pairs + len(tried)
        for step in range(self.generations + 1):
            fitness, kept, removed = self._scores(problem, clip, largest(candidates, tried))
            best.update(candidates, tried, fitness, kept, removed)
            if step == self.generations or best.done:
                break
            first = fitness.argsort(descending=True, stable=True)[: survivors if step else 1]
            values, share = _standard(candidates[first].mean(0, keepdim=True))[0], tried[first].log().mean()
            candidates = values + self._noise(problem, clip, rng, self.population)
            factors = SPREAD * torch.randn(self.population, generator=rng, dtype=torch.float32).to(device)
            tried = (share + factors).exp().clamp(LEAST, MOST)
            used += self.population
        return best.values(), used

    def _noise(self, problem: Problem, clip: int, rng: torch.Generator, n: int) -> Tensor:
        drawn = torch.randn(n, *problem.shape, generator=rng, dtype=torch.float32)
        index = torch.full((n,), clip, device=problem.targets.device)
        return _standard(problem.inspected.analysis.pool(self.blur(drawn).to(index.device), index))

    def _scores(self, problem: Problem, clip: int, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fitness of masks, and the target's probability on the kept and the removed part."""
        kept, removed = _log_odds_of_parts(problem, clip, masks)
        fitness = -functional.softplus(-kept) - functional.softplus(removed) - self.size * masks.mean((1, 2))
        return fitness, kept.sigmoid(), removed.sigmoid()


def fit_differences(masks: Tensor, differences: Tensor) -> Tensor:
    """Weights of cells, by ridge regression of the differences of complementary parts on masks ``(mask, freq, frame)``.

    A mask and its complement have opposite differences, so there is no intercept; extreme ones count no more than `CLIP`
    standard deviations.
    """
    spread = differences.std(correction=0).clamp_min(1e-12)
    y = (differences / spread).clamp(-CLIP, CLIP).double()
    x = (masks - 0.5).flatten(1).double()
    # the penalty is 1 in float64; with fewer masks than cells, the system of the masks is the smaller one
    solved = torch.linalg.solve(x @ x.T + torch.eye(len(x), dtype=x.dtype, device=x.device), y)
    return (x.T @ solved).view(masks.shape[1:]).float()


def largest(values: Tensor, shares: Tensor) -> Tensor:
    """Masks of the largest values, each of its share of the cells; cells of one value (a segment) are kept together."""
    ordered = values.flatten(1).sort(1, descending=True).values
    counts = torch.tensor([_count(float(s), ordered.shape[1]) for s in shares], device=values.device)
    return (values >= ordered.gather(1, counts[:, None] - 1)[:, :, None]).float()


def _count(share: float, cells: int) -> int:
    return min(cells, max(1, round(share * cells)))


def _log_odds_of_parts(problem: Problem, clip: int, masks: Tensor) -> Tensor:
    """The target's log-odds on what each mask keeps of one clip, and on what it removes, ``(part, mask)``."""
    inspected, found = problem.inspected, []
    for some in masks.split(problem.batch_size):
        index = torch.full((len(some),), clip, device=some.device)
        with torch.no_grad():
            kept = inspected.analysis.synthesise(some, index)
            parts = [inspected.classify(part) for part in (kept, inspected.analysis.complement(kept, index))]
        targets = problem.targets[index]
        found.append(torch.stack([log_odds(p, targets, inspected.classifier.multilabel) for p in parts]).float())
        problem.tick(2 * len(some))
    return torch.cat(found, 1)


def _standard(values: Tensor) -> Tensor:
    """Values ``(any, freq, frame)`` with a mean of 0 and a standard deviation of 1; even ones become 0."""
    centred = values - values.mean((1, 2), keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)

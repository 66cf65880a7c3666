"""Integrated gradients along the straight path from silence to the clip."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result
from otoscope.core.registry import Range, register

Row = TypeVar("Row")
NODES = 4  # of Gauss-Legendre quadrature on each piece of the path


@register(
    "method", "integrated_gradients", family="gradient", needs=("gradients",), signed=True, complete=True,
    deterministic=True, cost="steps forward and backward", passes=lambda steps, **_: steps + steps // NODES,
    source="sundararajan2017axiomatic",
)  # fmt: skip
def integrated_gradients(
    problem: Problem, steps: Annotated[int, Range(1, 1000)] = 32, density: Annotated[float, Range(1.0, 10.0)] = 3.0
) -> Result:
    """Mean gradient on the straight path from silence to the clip, with more points where the path is rough.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    steps : int
        Points on the path from silence to the clip.
    density : float
        How much denser the points lie near silence; 1 is evenly. The path is walked as ``alpha = u ** density``.
        Log-mel front ends change most within the first hundredth of the path, which evenly spaced points pass over.

    Returns
    -------
    Result
        Values sum to the target's logit on the clip minus that on silence (``change``), up to the fact ``gap``.

    Notes
    -----
    Source: sundararajan2017axiomatic, eq. 1; the baseline is silence (mask 0). Half of the points lie on pieces of equal length,
    four on each. The logits at its ends say what a piece should sum to; with the other points, those pieces that miss it most are
    halved.
    """
    path = _Path(problem, density)
    clips, nodes = range(problem.batch), min(NODES, steps)
    count = max(1, steps // (2 * nodes))
    edges = list(itertools.pairwise(np.linspace(0, 1, count + 1).tolist()))
    pieces = path.pieces([(clip, *edge) for clip in clips for edge in edges], nodes)
    left = steps // nodes - count
    while left >= 2:
        halved = max(1, min(left // 2, count // 2))
        for clip in clips:
            worst = sorted((p for p in pieces if p.clip == clip), key=lambda p: p.miss)[-halved:]
            pieces = [p for p in pieces if not any(p is w for w in worst)]
            pieces += path.pieces([half for piece in worst for half in piece.halves()], nodes)
        count, left = count + halved, left - 2 * halved
    values = torch.zeros(problem.batch, *problem.shape, device=problem.targets.device)
    for piece in sorted(pieces, key=lambda p: p.start):
        values[piece.clip] += piece.values
    change = path.logits([(clip, 1.0) for clip in clips]) - path.logits([(clip, 0.0) for clip in clips])
    return Result(values, None, {"gap": values.sum((1, 2)) - change, "change": change})


@dataclass(frozen=True, eq=False)
class _Piece:
    """A stretch of one clip's path, the gradient's integral over it, and by how much that misses the change of the logit."""

    clip: int
    start: float
    stop: float
    values: Tensor
    miss: float

    def halves(self) -> list[tuple[int, float, float]]:
        middle = (self.start + self.stop) / 2
        return [(self.clip, self.start, middle), (self.clip, middle, self.stop)]


class _Path:
    """The path of each clip from silence (``u`` = 0) to itself (1), at mask values ``u ** density``."""

    def __init__(self, problem: Problem, density: float):
        self.problem, self.density = problem, density
        self._logits: dict[tuple[int, float], Tensor] = {}

    def _masks(self, places: Sequence[float]) -> Tensor:
        alphas = torch.tensor(
            [u**self.density for u in places], dtype=torch.float32, device=self.problem.targets.device
        )
        return alphas[:, None, None] * self.problem.inspected.ones(1)

    def _batches(self, rows: list[Row]) -> Iterator[list[Row]]:
        return (rows[i : i + self.problem.batch_size] for i in range(0, len(rows), self.problem.batch_size))

    def logits(self, points: Sequence[tuple[int, float]]) -> Tensor:
        """The target's logit of clips at places; each is computed once."""
        missing = [p for p in dict.fromkeys(points) if p not in self._logits]
        for some in self._batches(missing):
            index = torch.tensor([clip for clip, _ in some], device=self.problem.targets.device)
            scores = self.problem.score(self._masks([u for _, u in some]), index)
            self._logits.update(zip(some, scores, strict=True))
        return torch.stack([self._logits[p] for p in points])

    def pieces(self, stretches: Sequence[tuple[int, float, float]], nodes: int) -> list[_Piece]:
        """Integrals over stretches ``(clip, start, stop)``, by Gauss-Legendre quadrature."""
        places, weights = np.polynomial.legendre.leggauss(nodes)
        shape, device = self.problem.shape, self.problem.targets.device
        sums = torch.zeros(len(stretches), *shape, device=device)
        points = [
            (k, clip, u, w * self.density * u ** (self.density - 1) * (stop - start) / 2)
            for k, (clip, start, stop) in enumerate(stretches)
            for u, w in zip((start + stop) / 2 + places * (stop - start) / 2, weights, strict=True)
        ]
        for some in self._batches(points):
            piece, clip, places_, shares = zip(*some, strict=True)
            gradient = self.problem.gradient(self._masks(places_), torch.tensor(clip, device=device))
            share = torch.tensor(shares, dtype=torch.float32, device=device)
            sums.index_add_(0, torch.tensor(piece, device=device), gradient * share[:, None, None])
        ends = self.logits([(clip, u) for clip, start, stop in stretches for u in (start, stop)]).reshape(-1, 2)
        misses = (sums.sum((1, 2)) - (ends[:, 1] - ends[:, 0])).abs().tolist()
        return [_Piece(*stretch, s, miss) for stretch, s, miss in zip(stretches, sums, misses, strict=True)]

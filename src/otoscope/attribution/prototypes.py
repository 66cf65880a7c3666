"""What of a sound was alike to the prototypes of a network that decides by them."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.placing import to_grid
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Range, register
from otoscope.surgery import record_input


@register(
    "method", "prototypes", family="prototype", needs=("a prototype network", "placed_cells"), signed=True, complete=False,
    deterministic=True, cost="1 forward", passes=lambda **_: 1, source="zinemanas2021apnet",
)  # fmt: skip
def prototypes(problem: Problem, strongest: Annotated[int, Range(0, 10000)] = 0) -> Tensor:
    """Contributions of the prototypes to the target's logit, at the frequencies and frames where the clip is like them.

    A prototype contributes its weight for the target times its similarity, which is a sum over frequencies. Within a frequency, the
    contribution is shared out to frames by how near the clip's latent map is to the prototype's in each.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size. The classifier must be a prototype network, such as ``apnet``.
    strongest : int
        Only the prototypes whose contributions are largest in size; 0 for all.

    Returns
    -------
    Tensor (batch, freq, frame)
        Before they are carried to the grid, the values of a clip sum to the target's logit.

    Raises
    ------
    UnsupportedError
        If the classifier has no prototypes.

    Notes
    -----
    Source: zinemanas2021apnet, sec. 3.3, for contributions of prototypes and frequencies; sharing them out to frames is ours, since
    the exponential of a distance is no sum over frames.
    """
    network: Any = problem.inspected.classifier.network
    if not hasattr(network, "contributions"):
        raise UnsupportedError(
            f"classifier {problem.inspected.classifier.name!r} is not a prototype network, such as apnet; "
            "use mask_optimisation, lime or integrated_gradients"
        )
    found = []
    for _, clips in problem.chunks(1):
        with torch.no_grad(), record_input(network) as inputs:
            problem.inspected(problem.inspected.ones(len(clips)), clips)
            features = inputs[0]
            cells = network.contributions(features, problem.targets[clips])  # (batch, prototype, freq, frame)
        problem.tick(len(clips))
        if strongest:
            cells = _strongest(cells, strongest)
        found.append(to_grid(problem, cells.sum(1), network.latent_layer, features.shape[-1]))
    return torch.cat(found)


def _strongest(cells: Tensor, n: int) -> Tensor:
    """Cells of the prototypes with the largest contributions, by size."""
    sizes = cells.sum((2, 3)).abs()
    limit = sizes.topk(min(n, sizes.shape[1]), 1).values[:, -1:]
    return cells * (sizes >= limit)[:, :, None, None]

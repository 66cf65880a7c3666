"""Which parts of a sound resemble prototypes: those by which a network decides, or those that were fitted to any network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.cam import layer_output
from otoscope.attribution.exemplars import Exemplar, fitted_exemplars, network_exemplars
from otoscope.attribution.placing import to_grid
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import layer_cells
from otoscope.classifiers.prototype_space import PrototypeSpace, best_heard, read_space, spread
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.core.registry import Range, register
from otoscope.surgery import record_input


def _exemplars(classifier: Classifier, waveforms: Sequence[Tensor], target: int, **settings: Any) -> list[Exemplar]:
    """The prototypes that contributed most."""
    if settings["folder"]:
        return fitted_exemplars(classifier, waveforms, target, settings["folder"])
    return network_exemplars(classifier, waveforms, target)


@register(
    "method", "prototypes", family="prototype", needs=("a set of prototypes", "placed_cells"), signed=True, complete=False,
    deterministic=True, cost="1 forward", passes=lambda **_: 1, source="zinemanas2021apnet", exemplars=_exemplars,
)  # fmt: skip
def prototypes(problem: Problem, strongest: Annotated[int, Range(0, 10000)] = 0, folder: str = "") -> Tensor:
    """Contributions of the prototypes to the target's logit, at the frequencies and frames where the clip is like them.

    A prototype contributes its weight for the target times its similarity, which is a sum over frequencies. Within a frequency, the
    contribution is shared out to frames by how near the clip's latent map is to the prototype's in each.

    With a folder, any classifier is explained by prototypes that were fitted to it (`otoscope.prototypes.fit_prototypes`), which
    take no part in its decision: each cell has its similarity (at least 0) to the prototypes of the target's class,
    weighted by their shares among these, less its similarity to the others, weighted by their shares in the whole vote.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size. Without a folder, the classifier must be a prototype network,
        such as ``apnet``.
    strongest : int
        Only the prototypes whose contributions are largest in size; 0 for all.
    folder : str
        Folder of prototypes that were fitted to the classifier; empty for those of a prototype network.

    Returns
    -------
    Tensor (batch, freq, frame)
        Before they are carried to the grid, the values of a clip sum to the target's logit.

    Raises
    ------
    UnsupportedError
        If the classifier has no prototypes and no folder of them is given.
    OtoscopeError
        If the folder cannot be read, is of another classifier, or has no prototype of the target's class.

    Notes
    -----
    Source: zinemanas2021apnet, sec. 3.3, for contributions of prototypes and frequencies; sharing them out to frames is ours, since
    the exponential of a distance is no sum over frames.
    """
    if folder:
        return _fitted(problem, folder, strongest)
    network: Any = problem.inspected.classifier.network
    if not hasattr(network, "contributions"):
        raise UnsupportedError(
            f"classifier {problem.inspected.classifier.name!r} is not a prototype network, such as apnet; "
            "give the folder of prototypes that were fitted to it (folder=), or use mask_optimisation, lime or integrated_gradients"
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


def _fitted(problem: Problem, folder: str, strongest: int) -> Tensor:
    """Similarity to fitted prototypes: of the target's class positive, of other classes negative."""
    space, _ = read_space(folder)
    classifier = problem.inspected.classifier
    space.check(classifier)
    there = set(space.classes.tolist())
    for c in problem.targets.unique().tolist():
        if c not in there:
            raise ParameterError(
                f"the folder {folder} has no prototype of class {space.labels[c]!r}; explain another class, or fit prototypes to "
                "clips to which the classifier gives it"
            )
    found = []
    for _, clips in problem.chunks(1):
        output, _, n_given = layer_output(problem, space.layer, clips, False)
        maps = classifier.maps(space.layer, output)
        cells = _similar_cells(problem, space, maps, clips, n_given, strongest)
        found.append(to_grid(problem, cells if maps.ndim == 4 else cells[:, 0], space.layer, n_given))
    return torch.cat(found)


def _similar_cells(
    problem: Problem, space: PrototypeSpace, maps: Tensor, clips: Tensor, n_given: int, strongest: int
) -> Tensor:
    """Signed similarities of the cells of maps, ``(batch, freq, frame)``."""
    classifier, waveforms = problem.inspected.classifier, problem.inspected.waveform
    maps = maps[:, :, None] if maps.ndim == 3 else maps
    shape = int(maps.shape[2]), int(maps.shape[3])
    cells = layer_cells(classifier, space.layer, shape, n_given, waveforms.shape[-1])
    width = cells.frames(space.window_s)
    similarity = space.similarity(maps, width)  # (batch, prototype, row, column)
    rows = []
    for i, (places, clip) in enumerate(zip(similarity, clips.tolist(), strict=True)):
        best = best_heard(space, places, cells, waveforms[clip].cpu().numpy(), width)
        weight = _signed_shares(space, best, int(problem.targets[clips[i]]))
        if strongest:
            weight = weight * (weight.abs() >= weight.abs().topk(min(strongest, len(weight))).values[-1])
        rows.append((weight[:, None, None] * places.clamp_min(0)).sum(0))
    return spread(torch.stack(rows), shape, width)


def _signed_shares(space: PrototypeSpace, similarity: Tensor, target: int) -> Tensor:
    """Weights of prototypes ``(prototype,)``: shares among those of the target, and minus the shares in the vote of all others."""
    own = (space.classes == target).to(similarity.device)
    among = space.shares(similarity.masked_fill(~own, -torch.inf))
    return torch.where(own, among, -space.shares(similarity))

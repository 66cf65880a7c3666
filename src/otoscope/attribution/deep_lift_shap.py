"""DeepLIFT-SHAP: what each cell changes between a background and the clip, by the rescale rule."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.background import BackgroundBlend, BackgroundSource, PerClass, against, background_size
from otoscope.attribution.base import Problem, Result, target_gradient
from otoscope.attribution.sampling import Moments
from otoscope.core.registry import register
from otoscope.datasets.backgrounds import SILENCE
from otoscope.surgery import preserve_state, rescale


@register(
    "method", "deep_lift_shap", family="gradient", needs=("gradients", "uncompiled code"), signed=True, complete=True,
    deterministic=False,  # the seed chooses the sounds of a background
    cost="2 forward and 1 backward for each sound of the background",
    passes=lambda background, per_class: 2 * background_size(background, per_class),
    source="lundberg2017shap, shrikumar2017deeplift",
)  # fmt: skip
def deep_lift_shap(problem: Problem, background: BackgroundSource = SILENCE, per_class: PerClass = 2) -> Result:
    """DeepLIFT's contributions of the cells, averaged over the sounds of a background.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    background : str
        ``silence``, a folder of sounds or a table; see `otoscope.attribution.background`.
    per_class : int
        Sounds of the background that are chosen of each class, at least 1.

    Returns
    -------
    Result
        Values sum to the target's logit on the clip minus its mean on the background. With two sounds or more, standard
        errors of the mean over them. Its fact ``gap`` is by how much the sum differs from that: far from 0 where the
        classifier does what has no rule.

    Raises
    ------
    UnsupportedError
        If the classifier gives no gradients, or runs other operations on the clip than on the background.

    Notes
    -----
    Source: shrikumar2017deeplift, the rescale rule of section 3.5.1; lundberg2017shap for the mean over a background. The
    rule goes from the logit through network, front end and synthesis to the mask, and takes in products, softmax and norms,
    which the original does not have. A recurrent layer passes its plain gradient, and the sum is then not kept: see the gap.
    """
    chosen = against(problem, background, per_class)
    moments, changes = Moments(problem), torch.zeros(problem.batch, device=problem.targets.device)
    with preserve_state(problem.inspected.classifier):  # what requires gradients is what varies with the mask
        for which, clip in problem.chunks(chosen.n):
            values, change = _contributions(problem, chosen, clip, which)
            moments.add(clip, values)
            changes.index_add_(0, clip, change)
    mean, error = moments.estimate(torch.arange(problem.batch, device=changes.device), chosen.n)
    facts = {"gap": mean.sum((1, 2)) - changes / chosen.n, "change": changes / chosen.n}
    return Result(mean, error if chosen.n > 1 else None, facts)


def _contributions(problem: Problem, chosen: BackgroundBlend, clip: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Multiplier of each cell, from mask 0 to mask 1 (the change is one, so it is the contribution), and the logits' change."""
    ones, found = problem.inspected.ones(len(clip)), []

    def logits(mask: Tensor) -> Tensor:
        found.append(chosen(mask, clip, which))
        return found[-1]

    with rescale(lambda: chosen(torch.zeros_like(ones), clip, which)) as before:
        problem.tick(len(clip))
        values = target_gradient(problem, logits, ones, clip)
    return values, problem.of_target(found[0].detach() - before, clip)

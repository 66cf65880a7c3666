"""DeepLIFT-SHAP: what each cell changes between a background and the clip, by the rescale rule."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.background import BACKGROUND, Against, against, background_size
from otoscope.attribution.base import Problem, Result, target_gradient
from otoscope.core.registry import register
from otoscope.surgery import rescale, untouched


@register(
    "method",
    "deep_lift_shap",
    family="gradient",
    parameters=BACKGROUND,
    needs="gradients",
    signed=True,
    complete=True,
    deterministic=True,
    domains="stft, mel, time, features, components, superpixels",
    cost="2 forward and 1 backward for each sound of the background",
    passes=lambda background, per_class: 2 * background_size(background, per_class),
    source="lundberg2017shap, shrikumar2017deeplift",
)
def deep_lift_shap(problem: Problem, background: str, per_class: int) -> Result:
    """DeepLIFT's contributions of the cells, averaged over the sounds of a background.

    Parameters
    ----------
    problem : Problem
    background : str
        ``silence``, a folder of sounds or a table; see `otoscope.attribution.background`.
    per_class : int

    Returns
    -------
    Result
        Values sum to the target's logit on the clip minus its mean on the background. With two sounds or more, standard
        errors of the mean over them.

    Raises
    ------
    UnsupportedError
        If the classifier gives no gradients, or takes other steps on the clip than on the background.

    Notes
    -----
    Source: shrikumar2017deeplift, the rescale rule of section 3.5.1; lundberg2017shap for the mean over a background. The
    rule goes from the logit through network, front end and synthesis to the mask, and takes in products, softmax and norms,
    which the original does not have. A recurrent layer passes its plain gradient, and the sum is then not kept.
    """
    chosen = against(problem, background, per_class)
    total = torch.zeros(problem.batch, *problem.shape, device=problem.targets.device)
    squares = torch.zeros_like(total)
    with untouched(problem.inspected.classifier):  # what requires gradients is what varies with the mask
        for which, clip in problem.chunks(chosen.n):
            values = _contributions(problem, chosen, clip, which)
            total.index_add_(0, clip, values)
            squares.index_add_(0, clip, values.square())
    mean = total / chosen.n
    if chosen.n == 1:
        return Result(mean)
    return Result(mean, ((squares / chosen.n - mean.square()).clamp_min(0) / (chosen.n - 1)).sqrt())


def _contributions(problem: Problem, chosen: Against, clip: Tensor, which: Tensor) -> Tensor:
    """Multiplier of each cell, from mask 0 to mask 1: the change is one, so it is the contribution."""
    ones = problem.inspected.ones(len(clip))
    with rescale(lambda: chosen(torch.zeros_like(ones), clip, which)):
        problem.tick(len(clip))
        return target_gradient(problem, lambda mask: chosen(mask, clip, which), ones, clip)

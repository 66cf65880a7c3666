"""What the rescale rule is made of: functions that keep the sum of changes between a reference and a clip.

Each takes the clip's tensor ``x`` and the reference's ``r`` and returns the clip's exact value with a way back. The invariant, on
which completeness rests: (gradient by ``x``) times ``x - r``, summed, is the change of the output. Through `swapped`, a rule is
written as a surrogate whose ordinary gradient is the multiplier; the surrogate's own value does not matter.

Source: shrikumar2017deeplift, section 3.5.1; lundberg2017shap for the rule of the maximum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from otoscope.surgery.backward import derivative, sloped, swapped

CLOSE = 1e-4  # changes below this share of both sides are taken to be none: the derivative between them serves


def slope_between(run: Callable[[Tensor], Tensor], x: Tensor, r: Tensor, value: Tensor) -> Tensor:
    """Change of the output over change of the input; the derivative half-way where the input hardly changes."""
    change = x - r
    close = ~(change.abs() > CLOSE * (x.abs() + r.abs()))  # NaN, of two infinities, is close
    slope = (value - run(r)) / change.masked_fill(close, 1)
    return torch.where(close, derivative(run, (x + r) / 2), slope) if close.any() else slope


def elementwise(run: Callable[[Tensor], Tensor], x: Tensor, r: Tensor) -> Tensor:
    """``run(x)`` with the slope from ``r``; of complex numbers, only the magnitude."""
    with torch.no_grad():
        value = run(x)
        if x.is_complex():
            # |x| - |r| = (x + r) . (x - r) / (|x| + |r|) with . the real inner product: that fraction is the slope.
            total = value + run(r)
            slope = (x + r) / total.masked_fill(total == 0, 1)
        else:
            slope = slope_between(run, x.detach(), r, value)
    return sloped(x, value, slope)


def bilinear(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, before: tuple[Tensor, Tensor]) -> Tensor:
    """``run(x, y)``, linear in each: the change of each side counts with the mean of the other."""
    with torch.no_grad():
        value = run(x, y)
        # x y - r s = (x - r) (y + s) / 2 + (y - s) (x + r) / 2, exactly.
        means = [(now + then) / 2 for now, then in zip((x, y), before, strict=True)]
    return swapped(value, run(x, means[1]) + run(means[0], y))


def over(x: Tensor, inverse: Tensor, before: tuple[Tensor, Tensor]) -> Tensor:
    """``x`` times the inverse of something: as `bilinear`, but the side with the smaller inverse counts more.

    Plain means would hand out huge contributions that cancel where the reference is divided by almost nothing, as a norm
    does with silence.
    """
    with torch.no_grad():
        (r, inverse_r), value = before, x * inverse
        sizes = inverse.abs(), inverse_r.abs()
        now = (sizes[1] / (sizes[0] + sizes[1])).nan_to_num_(0.5)  # how much the clip's own inverse counts
        by_x, by_inverse = torch.lerp(inverse_r, inverse, now), torch.lerp(x, r, now.expand_as(value))
    return swapped(value, x * by_x + inverse * by_inverse)


def highest(x: Tensor, r: Tensor, dim: int) -> Tensor:
    """Maximum along an axis, which stays with length one; see `credited`."""
    with torch.no_grad():
        now, then = x.max(dim, keepdim=True), r.max(dim, keepdim=True)
        chosen = torch.where(now.values >= then.values, now.indices, then.indices)
    return credited(x.gather(dim, chosen), r.gather(dim, chosen), now.values, then.values)


def credited(picked: Tensor, reference: Tensor, value: Tensor, before: Tensor) -> Tensor:
    """A maximum that rose is credited where it is now, one that fell where it was in the reference."""
    with torch.no_grad():
        # The element picked is the only one with a gradient; scaled so that its step accounts for the maximum's change.
        step = picked - reference
        still = step == 0
        slope = torch.where(still, torch.ones_like(step), (value - before) / step.masked_fill(still, 1))
    return swapped(value, picked * slope)


def softmax(x: Tensor, r: Tensor, dim: int) -> Tensor:
    """Softmax: exponentials below the highest, over their sum."""
    # The maximum is subtracted for the sake of range, as torch does; as part of the graph it takes its share too.
    low, low_r = x - highest(x, r, dim), r - r.amax(dim, keepdim=True)
    part, part_r = elementwise(torch.exp, low, low_r), low_r.exp()
    total, total_r = part.sum(dim, keepdim=True), part_r.sum(dim, keepdim=True)
    inverse = elementwise(torch.reciprocal, total, total_r)
    return over(part, inverse, (part_r, total_r.reciprocal()))


def standardised(x: Tensor, r: Tensor, eps: float, centred: bool = True) -> Tensor:
    """The last axis with mean 0 and variance 1."""
    if centred:
        x, r = x - x.mean(-1, keepdim=True), r - r.mean(-1, keepdim=True)
    spread = elementwise(torch.square, x, r).mean(-1, keepdim=True)
    spread_r = r.square().mean(-1, keepdim=True)
    inverse = elementwise(lambda v: (v + eps).rsqrt(), spread, spread_r)
    return over(x, inverse, (r, (spread_r + eps).rsqrt()))

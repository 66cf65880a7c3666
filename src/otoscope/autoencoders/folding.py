"""Residual blocks, and their folded form: few channels and many samples run as many channels and few frames, much faster.

Convolutions with two or four channels leave a processor idle. With ``patch`` neighbouring samples folded into channels, a
convolution of three taps is again one of three taps, with weights that repeat along a band, and a group norm is one over
the folded channels: the numbers stay the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Norm, activation, convolution: ``(batch, in, time)`` -> ``(batch, out, time)``."""

    def __init__(self, n_in: int, n_out: int, groups: int):
        super().__init__()
        self.groupnorm = nn.GroupNorm(groups, n_in)
        self.activation = nn.SiLU()
        self.project = nn.Conv1d(n_in, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.activation(self.groupnorm(x)))


class ResnetBlock(nn.Module):
    """Two blocks and a way around them, ``(batch, in, time)`` -> ``(batch, out, time)``."""

    def __init__(self, n_in: int, n_out: int, groups: int):
        super().__init__()
        self.block1 = ConvBlock(n_in, n_out, groups)
        self.block2 = ConvBlock(n_out, n_out, groups)
        self.to_out = nn.Conv1d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.block1(x)) + self.to_out(x)


def fold_weight(weight: Tensor, patch: int) -> Tensor:
    """Weights ``(out, in, taps)`` on samples -> ``(out * patch, in * patch, folded taps)`` on folded frames.

    ``taps`` is odd and at most ``2 * patch + 1``; one tap stays one tap, more become three.
    """
    n_out, n_in, taps = weight.shape
    placed = torch.einsum("oik,fkqp->oqipf", weight, _places(taps, patch).to(weight))
    placed = placed.reshape(n_out * patch, n_in * patch, 3)
    return placed[..., 1:2] if taps == 1 else placed


def _places(taps: int, patch: int) -> Tensor:
    """``(folded tap, tap, place of the output, place of the input)``: 1 where a tap of an output falls."""
    out = torch.zeros(3, taps, patch, patch)
    for place in range(patch):
        for tap in range(taps):
            frame, within = divmod(place + tap - taps // 2, patch)
            out[frame + 1, tap, place, within] = 1.0
    return out


def folded(block: ResnetBlock, x: Tensor, patch: int) -> Tensor:
    """A `ResnetBlock` on folded sound.

    Parameters
    ----------
    block : ResnetBlock
        Of ``channel`` inputs.
    x : Tensor (batch, channel * patch, frame)
        Channel after channel, each with the samples of its patch in order.
    patch : int
        At 1 nothing is folded.

    Returns
    -------
    Tensor (batch, out * patch, frame)
        What the block gives on the unfolded sound, folded.
    """
    if patch == 1:
        return block(x)
    y: Tensor = x
    for part in (block.block1, block.block2):
        norm = part.groupnorm
        scale, shift = norm.weight.repeat_interleave(patch), norm.bias.repeat_interleave(patch)
        y = part.activation(nn.functional.group_norm(y, norm.num_groups, scale, shift, norm.eps))
        y = _convolve(part.project, y, patch)
    around = block.to_out
    return y + (_convolve(around, x, patch) if isinstance(around, nn.Conv1d) else x)


def _convolve(layer: nn.Conv1d, x: Tensor, patch: int) -> Tensor:
    weight = fold_weight(layer.weight, patch)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(patch)
    return nn.functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)

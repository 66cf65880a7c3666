"""The convolutional autoencoder on waveforms: patches, stages of residual blocks, a squashed latent, and the way back.

Axes: waveforms ``(batch, channel, time)``, latents ``(batch, channel, frame)``. Names of the parameters are those of the
published checkpoint, so that it loads as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.audio.check import as_rate
from otoscope.autoencoders.folding import ResnetBlock, folded
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError


@dataclass(frozen=True)
class AutoencoderConfig:
    """The shape of an autoencoder; the defaults are those of the published one.

    Parameters
    ----------
    in_channels : int
        Channels of its sound.
    channels : int
        Channels of the first stage; the others have multiples of them.
    multipliers : tuple of int
        Channels before the first stage and after each, in units of ``channels``.
    factors : tuple of int
        By how much each stage shortens.
    num_blocks : tuple of int
        Residual blocks in each stage.
    patch_size : int
        Neighbouring samples that are folded into channels first.
    resnet_groups : int
        Groups of the group norms.
    sample_rate : int, Hz
        The rate of its sound.

    Examples
    --------
    >>> AutoencoderConfig(channels=16).compression
    32
    """

    in_channels: int = 2
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8, 8, 1)
    factors: tuple[int, ...] = (2, 2, 2, 1, 1, 1)
    num_blocks: tuple[int, ...] = (2, 2, 8, 8, 8, 8)
    patch_size: int = 4
    resnet_groups: int = 8
    sample_rate: int = 48000

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            value, many = getattr(self, name), name in LISTS
            numbers = value if many and isinstance(value, tuple) else () if many else (value,)
            whole = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= most for n in numbers)
            if not (whole and numbers):
                wanted = "a list of whole numbers" if many else "a whole number"
                raise ParameterError(f"autoencoder: {name} must be {wanted} from 1 to {most}; got {value!r}")
        as_rate(self.sample_rate, "autoencoder: sample_rate")
        stages = len(self.factors)
        if len(self.num_blocks) != stages or len(self.multipliers) != stages + 1:
            raise ParameterError(
                "autoencoder: factors and num_blocks need one number per stage and multipliers one more; got "
                f"{stages}, {len(self.num_blocks)} and {len(self.multipliers)}"
            )
        if self.compression > LARGEST_COMPRESSION:
            raise ParameterError(
                f"autoencoder: patch_size and factors make {self.compression} samples a frame; at most {LARGEST_COMPRESSION}"
            )
        widths = [self.channels * m for m in self.multipliers]
        if any(w % self.resnet_groups for w in widths):
            raise ParameterError(
                f"autoencoder: channels {widths} must all be divisible by resnet_groups={self.resnet_groups}"
            )
        groups = min(self.patch_size, self.in_channels)
        if widths[0] % self.patch_size or (widths[0] // self.patch_size) % groups or self.in_channels % groups:
            raise ParameterError(
                f"autoencoder: {widths[0]} channels cannot be folded from patches of {self.patch_size} samples with "
                f"{groups} groups of {self.in_channels} channels"
            )

    @property
    def compression(self) -> int:
        """Samples a latent frame; lengths must be multiples of it."""
        return self.patch_size * math.prod(self.factors)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for files."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AutoencoderConfig:
        """A configuration from plain data.

        Raises
        ------
        OtoscopeError
            For a setting that does not exist or does not fit.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        for key in content:
            if key not in known:
                raise UnknownNameError("setting of the autoencoder", str(key), sorted(known))
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**settings)


LARGEST_COMPRESSION = 1 << 16
LARGEST = {
    "in_channels": 64,
    "channels": 4096,
    "multipliers": 1024,
    "factors": 64,
    "num_blocks": 256,
    "patch_size": 1024,
    "resnet_groups": 1024,
    "sample_rate": 1_000_000,
}
LISTS = ("multipliers", "factors", "num_blocks")
SMALL = AutoencoderConfig(
    in_channels=1,
    channels=16,
    multipliers=(2, 4, 4, 1),
    factors=(2, 1, 1),
    num_blocks=(2, 2, 1),
    patch_size=16,
    resnet_groups=8,
    sample_rate=32000,
)


class Patcher(nn.Module):
    """``(batch, in, time)`` -> ``(batch, out, time / patch)``: a residual block, then neighbours become channels.

    The block runs on what is folded already, which gives the same numbers in a fraction of the time (`folded`).
    """

    def __init__(self, n_in: int, n_out: int, patch: int):
        super().__init__()
        self.patch = patch
        self.block = ResnetBlock(n_in, n_out // patch, min(patch, n_in))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        x = x.reshape(batch, channels, length // self.patch, self.patch)  # (batch, channel, frame, place in patch)
        x = x.transpose(2, 3).reshape(batch, channels * self.patch, length // self.patch)
        return folded(self.block, x, self.patch)


class Unpatcher(nn.Module):
    """``(batch, in, frame)`` -> ``(batch, out, frame * patch)``: `Patcher` the other way."""

    def __init__(self, n_in: int, n_out: int, patch: int):
        super().__init__()
        self.patch = patch
        self.block = ResnetBlock(n_in // patch, n_out, min(patch, n_out))

    def forward(self, x: Tensor) -> Tensor:
        x = folded(self.block, x, self.patch)
        batch, channels, frames = x.shape
        x = x.reshape(batch, channels // self.patch, self.patch, frames)  # (batch, channel, place in patch, frame)
        return x.transpose(2, 3).reshape(batch, channels // self.patch, frames * self.patch)


class Down(nn.Module):
    """A stage of the encoder: shorter by a factor, then residual blocks."""

    def __init__(self, n_in: int, n_out: int, factor: int, blocks: int, groups: int):
        super().__init__()
        self.downsample = nn.Conv1d(n_in, n_out, 2 * factor + 1, stride=factor, padding=factor)
        self.blocks = nn.Sequential(*(ResnetBlock(n_out, n_out, groups) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, frame)`` -> ``(batch, out, frame / factor)``."""
        return self.blocks(self.downsample(x))


class Up(nn.Module):
    """A stage of the decoder: residual blocks, then longer by a factor."""

    def __init__(self, n_in: int, n_out: int, factor: int, blocks: int, groups: int):
        super().__init__()
        self.blocks = nn.Sequential(*(ResnetBlock(n_in, n_in, groups) for _ in range(blocks)))
        odd = factor % 2
        self.upsample: nn.Module = (
            nn.Conv1d(n_in, n_out, 3, padding=1)
            if factor == 1
            else nn.ConvTranspose1d(n_in, n_out, 2 * factor, factor, factor // 2 + odd, output_padding=odd)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, in, frame)`` -> ``(batch, out, frame * factor)``."""
        return self.upsample(self.blocks(x))


class Encoder(nn.Module):
    """``(batch, in_channels, time)`` -> ``(batch, latent channel, time / compression)``."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        widths = _widths(config)
        self.to_in = Patcher(config.in_channels, widths[0], config.patch_size)
        self.downsamples = _stages(Down, widths, config.factors, config.num_blocks, config.resnet_groups)

    def forward(self, x: Tensor) -> Tensor:
        """The latent, not yet squashed."""
        return self.downsamples(self.to_in(x))


class Decoder(nn.Module):
    """``(batch, latent channel, frame)`` -> ``(batch, in_channels, frame * compression)``."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        widths = _widths(config)[::-1]
        self.upsamples = _stages(Up, widths, config.factors[::-1], config.num_blocks[::-1], config.resnet_groups)
        self.to_out = Unpatcher(widths[-1], config.in_channels, config.patch_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(self.upsamples(x))


class AutoencoderNetwork(nn.Module):
    """The bare network: waveform in, waveform out, both ``(batch, in_channels, time)``.

    Parameters
    ----------
    config : AutoencoderConfig
        Its shape.

    Notes
    -----
    Source: schneider2023archisound; with the default configuration it is its ``autoencoder1d-AT-v1`` (20,770,642
    parameters).

    Examples
    --------
    >>> AutoencoderNetwork(SMALL).encode(torch.zeros(1, 1, 320)).shape
    torch.Size([1, 16, 10])
    """

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    def encode(self, waveform: Tensor) -> Tensor:
        """Latents in (-1, 1), ``(batch, channel, time / compression)``."""
        if waveform.ndim != 3 or waveform.shape[1] != self.config.in_channels:
            raise ShapeError(
                f"this autoencoder takes waveforms (batch, {self.config.in_channels}, time); got {tuple(waveform.shape)}"
            )
        if waveform.shape[-1] % self.config.compression or not waveform.shape[-1]:
            raise ShapeError(
                f"the length must be a multiple of {self.config.compression} samples; got {waveform.shape[-1]}"
            )
        return torch.tanh(self.encoder(waveform))

    def decode(self, latent: Tensor) -> Tensor:
        """Waveforms ``(batch, in_channels, frame * compression)`` of latents."""
        return self.decoder(latent)

    def forward(self, waveform: Tensor) -> Tensor:
        """Reconstructions."""
        return self.decode(self.encode(waveform))

    def initialise(self, zero_residuals: bool = True) -> None:
        """Random weights: Xavier-uniform, no biases, norms at one, as the original experiment draws them.

        Parameters
        ----------
        zero_residuals : bool
            Let every residual block begin as the way around it alone; without, noise of all blocks hides the sound, and a
            small autoencoder learns nothing for hundreds of steps.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.GroupNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        if zero_residuals:
            for module in self.modules():
                if isinstance(module, ResnetBlock):
                    nn.init.zeros_(module.block2.project.weight)


def _widths(config: AutoencoderConfig) -> list[int]:
    return [config.channels * m for m in config.multipliers]


def _stages(
    kind: type[Down] | type[Up], widths: Sequence[int], factors: Sequence[int], blocks: Sequence[int], groups: int
) -> nn.Sequential:
    shapes = zip(widths[:-1], widths[1:], factors, blocks, strict=True)
    return nn.Sequential(*(kind(*shape, groups) for shape in shapes))

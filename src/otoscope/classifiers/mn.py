"""MN: the MobileNetV3-like audio tagger of EfficientAT, at any width.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. Parts first, the whole last. The names of the
parameters are those of the published checkpoints, so that they load strictly.

Source: schmid2023efficient; howard2019mobilenetv3 for the block.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.base import Place
from otoscope.classifiers.checkpoints import Checkpoint, audioset_labels, register_checkpoint
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import FrameConfig, KaldiLogMel, LinearStft

RELEASES = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor`` that is not more than 10 % below ``value``."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class BlockConfig(NamedTuple):
    """One inverted-residual block at width 1."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    hardswish: bool
    stride: int


ROWS = (
    BlockConfig(3, 16, 16, False, False, 1),
    BlockConfig(3, 64, 24, False, False, 2),
    BlockConfig(3, 72, 24, False, False, 1),
    BlockConfig(5, 72, 40, True, False, 2),
    BlockConfig(5, 120, 40, True, False, 1),
    BlockConfig(5, 120, 40, True, False, 1),
    BlockConfig(3, 240, 80, False, True, 2),
    BlockConfig(3, 200, 80, False, True, 1),
    BlockConfig(3, 184, 80, False, True, 1),
    BlockConfig(3, 184, 80, False, True, 1),
    BlockConfig(3, 480, 112, True, True, 1),
    BlockConfig(3, 672, 112, True, True, 1),
    BlockConfig(5, 672, 160, True, True, 2),
    BlockConfig(5, 960, 160, True, True, 1),
    BlockConfig(5, 960, 160, True, True, 1),
)
STEM, LAST, HEAD = 16, 960, 1280


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, activation."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU,
        momentum: float = 0.01,
    ):
        layers: list[nn.Module] = [
            nn.Conv2d(n_in, n_out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(n_out, eps=1e-3, momentum=momentum),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """Channel gates from the mean over frequency and time."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Gated maps, same shape ``(batch, channel, freq, frame)``."""
        gate = x.mean((2, 3))  # (batch, channel)
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(gate))))
        return x * gate[:, :, None, None]


class ConcurrentGates(nn.Module):
    """The place that the published checkpoints keep for gates along several axes; MN uses the channel gate alone."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(channels, squeezed)])

    def forward(self, x: Tensor) -> Tensor:
        """Gated maps, same shape."""
        return self.conc_se_layers[0](x)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, gate, project; add the input where shapes agree."""

    def __init__(self, row: BlockConfig, n_in: int, width: float, momentum: float):
        super().__init__()
        n_exp, n_out = make_divisible(row.expanded * width), make_divisible(row.out * width)
        activation = nn.Hardswish if row.hardswish else nn.ReLU
        self.skip = row.stride == 1 and n_in == n_out
        layers: list[nn.Module] = []
        if n_exp != n_in:
            layers.append(ConvNormAct(n_in, n_exp, activation=activation, momentum=momentum))
        layers.append(ConvNormAct(n_exp, n_exp, row.kernel, row.stride, n_exp, activation, momentum))
        if row.squeeze:
            layers.append(ConcurrentGates(n_exp, make_divisible(n_exp / 4)))
        layers.append(ConvNormAct(n_exp, n_out, activation=None, momentum=momentum))
        self.block = nn.Sequential(*layers)
        self.n_out = n_out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, freq, frame) -> (batch, n_out, freq / stride, frame / stride)."""
        out = self.block(x)
        return out + x if self.skip else out


class MN(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    width : float
        Multiplies every channel count; 1.0 is mn10, 0.4 is mn04.
    dropout : float in [0, 1)
        Probability that an activation is zeroed in training.
    bn_momentum : float in (0, 1]
        0.01 as published, for long pre-training; training from random weights on little data wants 0.1.
    """

    def __init__(self, n_classes: int = 527, width: float = 1.0, dropout: float = 0.2, bn_momentum: float = 0.01):
        super().__init__()
        if not (0.05 <= width <= 8) or n_classes < 1:
            raise ParameterError(f"MN takes a width in [0.05, 8] and at least one class; got {width} and {n_classes}")
        n = make_divisible(STEM * width)
        layers: list[nn.Module] = [ConvNormAct(1, n, 3, 2, activation=nn.Hardswish, momentum=bn_momentum)]
        for row in ROWS:
            block = InvertedResidual(row, n, width, bn_momentum)
            layers.append(block)
            n = block.n_out
        last = make_divisible(LAST * width)
        layers.append(ConvNormAct(n, last, activation=nn.Hardswish, momentum=bn_momentum))
        self.features = nn.Sequential(*layers)
        head = make_divisible(HEAD * width)
        self.classifier = nn.Sequential(
            OrderedDict(
                [
                    ("0", nn.AdaptiveAvgPool2d(1)),
                    ("1", nn.Flatten(1)),
                    ("2", nn.Linear(last, head)),
                    ("3", nn.Hardswish(inplace=True)),
                    ("4", nn.Dropout(dropout)),
                    ("5", nn.Linear(head, n_classes)),
                ]
            )
        )
        self.apply(initialise)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``."""
        maps = self.features(features)  # (batch, 960 w, freq / 32, frame / 32)
        return self.classifier(maps)


def initialise(module: nn.Module) -> None:
    """Random weights as EfficientAT's networks begin."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
        nn.init.zeros_(module.bias)


FEATURES = ("mel128", "stft257")
STFT_SCALE = (45.0, 50.0)  # shift and divisor: about the range that the mel features have


def _places(network: MN) -> dict[str, Place]:
    """Padded convolutions of odd length with a stride: cell i is centred on feature i * stride, whatever the length."""
    step, places = 2.0, {"features.0": every(2.0)}
    for i, row in enumerate(ROWS, 1):
        layers = list(network.get_submodule(f"features.{i}.block").children())
        if row.stride > 1 and len(layers) > 2 + row.squeeze:  # it expands before its stride
            places[f"features.{i}.block.0"] = every(step)
        step *= row.stride
        places[f"features.{i}"] = every(step)
    return {**places, f"features.{len(ROWS) + 1}": every(step)}


def every(step: float) -> Place:
    """Where cells lie that are centred on every so many bands and frames."""
    return (0.0, step), (0.0, step)


@register(
    "architecture",
    "mn",
    family="mn",
    source="schmid2023efficient, howard2019mobilenetv3",
    parameters=(
        Parameter("width", float, 1.0, "multiplies every channel count; 0.4 is mn04, 1.0 mn10", 0.05, 8.0),
        Parameter("dropout", float, 0.2, "before the last layer", 0.0, 0.95),
        Parameter("bn_momentum", float, 0.01, "of the running statistics; little data wants 0.1", 1e-4, 1.0),
        Parameter(
            "features",
            str,
            "mel128",
            "mel128: the authors' Kaldi mel bands at 32 kHz; stft257: audiointerp's STFT bins in dB at 16 kHz",
            choices=FEATURES,
        ),
    ),
)
def mn(n_classes: int, width: float, dropout: float, bn_momentum: float, features: str) -> Parts:
    """MobileNetV3-like tagger of EfficientAT on 128 Kaldi mel bands at 32 kHz, or on an STFT, at any width."""
    network = MN(n_classes, width, dropout, bn_momentum)
    on_stft = features == "stft257"
    frontend = LinearStft(FrameConfig(16000, 512, 256), "db", *STFT_SCALE) if on_stft else KaldiLogMel()
    return Parts(
        network,
        frontend,
        sample_rate=frontend.sample_rate,
        cam_layer="features.16",
        axes={"features": "channel freq frame"},
        places=_places(network),
        head=("classifier.5.",),
    )


for _width, _file, _sha256 in (
    (0.4, "mn04_as_mAP_432.pt", "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"),
    (0.5, "mn05_as_mAP_443.pt", None),
    (1.0, "mn10_as_mAP_471.pt", None),
    (2.0, "mn20_as_mAP_478.pt", None),
    (3.0, "mn30_as_mAP_482.pt", None),
    (4.0, "mn40_as_mAP_484.pt", None),
):
    register_checkpoint(
        Checkpoint(
            name=_file[:7],
            architecture="mn",
            settings={"width": _width},
            url=f"{RELEASES}/{_file}",
            file=_file,
            sha256=_sha256,
            labels=audioset_labels,
            summary=f"MN tagger of width {_width:g}, trained on AudioSet by the authors of EfficientAT.",
            licence="MIT (weights), CC BY 4.0 (labels)",
            source="schmid2023efficient",
        )
    )

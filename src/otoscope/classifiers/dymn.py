"""DyMN: the dynamic MobileNet of EfficientAT, at any width, with each of its three dynamic parts on, off or absent.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. Parts first, the whole last. The names of the
parameters are those of the published checkpoints, so that they load strictly; a part that is absent leaves the names that
the authors' own ablations have.

Source: schmid2024dynamic; its layers are in `dymn_layers`.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.base import Place
from otoscope.classifiers.checkpoints import Checkpoint, audioset_labels, register_checkpoint
from otoscope.classifiers.dymn_layers import (
    EPS,
    ContextGenerator,
    CoordinateAttention,
    Dynamic,
    DynamicConv,
    DynamicReLU,
    Static,
)
from otoscope.classifiers.mn import (
    HEAD,
    RELEASES,
    ROWS,
    STEM,
    BlockConfig,
    ConvNormAct,
    every,
    initialise,
    make_divisible,
)
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import KaldiLogMel

SWITCH = ("on", "off", "absent")
KINDS: dict[str, type[Dynamic]] = {
    "coordinate_attention": CoordinateAttention,
    "dynamic_convolution": DynamicConv,
    "dynamic_relu": DynamicReLU,
}


@dataclass(frozen=True)
class DyMNSettings:
    """Settings of a `DyMN`.

    Parameters
    ----------
    width : float
        Multiplies every channel count; 0.4 is dymn04, 1.0 dymn10, 2.0 dymn20.
    dropout : float in [0, 1)
        Probability that an activation is zeroed in training.
    bn_momentum : float in (0, 1]
        0.01 as published, for long pre-training; training from random weights on little data wants 0.1.
    coordinate_attention, dynamic_convolution, dynamic_relu : {"on", "off", "absent"}
        "off" is there, with its weights, and does nothing; "absent" was never built: the identity, ordinary
        convolutions, the block's ordinary activation.
    temperature : float > 0
        Of the softmax over the kernels: 1 in the published tagger; higher is nearer to their plain mean.
    """

    width: float = 1.0
    dropout: float = 0.2
    bn_momentum: float = 0.01
    coordinate_attention: str = "on"
    dynamic_convolution: str = "on"
    dynamic_relu: str = "on"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in KINDS:
            if getattr(self, name) not in SWITCH:
                raise UnknownNameError(f"DyMN {name}", getattr(self, name), SWITCH)


def context_size(row: BlockConfig, width: float) -> int:
    """Length of a block's context vector: a quarter of its channels, within bounds that grow with the width."""
    lowest, highest = make_divisible(32 * width), make_divisible(128 * width)
    return min(max(make_divisible(make_divisible(row.expanded * width) // 4), lowest), highest)


class DynamicBlock(nn.Module):
    """Expand, filter each channel, activate, gate, project; add the input where shapes agree."""

    def __init__(self, row: BlockConfig, n_in: int, settings: DyMNSettings):
        super().__init__()
        width, momentum = settings.width, settings.bn_momentum
        n_exp, n_out = make_divisible(row.expanded * width), make_divisible(row.out * width)
        n_context = context_size(row, width)
        activation = nn.Hardswish if row.hardswish else nn.ReLU
        dynamic = settings.dynamic_convolution != "absent"

        def conv(a: int, b: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
            if dynamic:
                return DynamicConv(a, b, n_context, kernel, stride, groups)
            return Static(nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False))

        self.n_out, self.skip, expands = n_out, row.stride == 1 and n_in == n_out, n_exp != n_in
        self.exp_conv = conv(n_in, n_exp) if expands else Static(nn.Identity())
        self.exp_norm = nn.BatchNorm2d(n_exp, EPS, momentum) if expands else nn.Identity()
        self.exp_act = Static(activation() if expands else nn.Identity())
        self.depth_conv = conv(n_exp, n_exp, row.kernel, row.stride, n_exp)
        self.depth_norm = nn.BatchNorm2d(n_exp, EPS, momentum)
        self.depth_act = Static(activation()) if settings.dynamic_relu == "absent" else DynamicReLU(n_exp, n_context)
        self.ca = Static(nn.Identity()) if settings.coordinate_attention == "absent" else CoordinateAttention()
        self.proj_conv = conv(n_exp, n_out)
        self.proj_norm = nn.BatchNorm2d(n_out, EPS, momentum)
        self.context_gen = ContextGenerator(n_context, n_in, n_exp, row.stride, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, freq, frame) -> (batch, n_out, freq / stride, frame / stride)."""
        context = self.context_gen(x, gates=getattr(self.ca, "active", False))
        out = self.exp_act(self.exp_norm(self.exp_conv(x, context)), context)  # (batch, n_exp, freq, frame)
        out = self.depth_act(self.depth_norm(self.depth_conv(out, context)), context)  # by stride shorter
        out = self.ca(out, context)
        out = self.proj_norm(self.proj_conv(out, context))  # (batch, n_out, freq / stride, frame / stride)
        return out + x if self.skip else out


class DyMN(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    settings : DyMNSettings, optional
        Width, depth and dynamic layers; by default the published ones.

    Raises
    ------
    ParameterError
        For an absurd width, temperature or number of classes.
    """

    def __init__(self, n_classes: int = 527, settings: DyMNSettings | None = None):
        super().__init__()
        settings = settings or DyMNSettings()
        width, momentum = settings.width, settings.bn_momentum
        if not (0.05 <= width <= 8) or n_classes < 1:
            raise ParameterError(f"DyMN takes a width in [0.05, 8] and at least one class; got {width} and {n_classes}")
        n = make_divisible(STEM * width)
        self.in_c = ConvNormAct(1, n, 3, 2, activation=nn.Hardswish, momentum=momentum)
        self.layers = nn.ModuleList()
        for row in ROWS:
            block = DynamicBlock(row, n, settings)
            self.layers.append(block)
            n = block.n_out
        self.out_c = ConvNormAct(n, 6 * n, activation=nn.Hardswish, momentum=momentum)
        head = make_divisible(HEAD * width)
        self.classifier = nn.Sequential(
            OrderedDict(
                [
                    ("0", nn.AdaptiveAvgPool2d(1)),
                    ("1", nn.Flatten(1)),
                    ("2", nn.Linear(6 * n, head)),
                    ("3", nn.Hardswish(inplace=True)),
                    ("4", nn.Dropout(settings.dropout)),
                    ("5", nn.Linear(head, n_classes)),
                ]
            )
        )
        self.apply(initialise)
        self._temperature = 1.0
        self.temperature = settings.temperature
        self.switch(**{name: False for name in KINDS if getattr(settings, name) == "off"})

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``."""
        maps = self.in_c(features)  # (batch, 16 w, freq / 2, frame / 2)
        for block in self.layers:
            maps = block(maps)
        return self.classifier(self.out_c(maps))  # from (batch, 960 w, freq / 32, frame / 32)

    @property
    def temperature(self) -> float:
        """Of the softmax over the kernels of all dynamic convolutions; setting it sets all. It is saved with the model."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not 1e-3 <= float(value) <= 1e6:
            raise ParameterError(f"the temperature of DyMN must lie in [0.001, 1e6]; got {value!r}")
        self._temperature = float(value)
        for module in self.modules():
            if isinstance(module, DynamicConv):
                module.temperature = self._temperature

    def switch(self, **wanted: bool) -> dict[str, bool]:
        """Switch dynamic parts on or off; returns which were on before, so that ``switch(**before)`` undoes it.

        Parameters
        ----------
        **wanted : bool
            ``coordinate_attention``, ``dynamic_convolution``, ``dynamic_relu``; what is not named stays.

        Raises
        ------
        UnknownNameError
        UnsupportedError
            If the network was built without that part.
        """
        before = self._switches()
        for name in wanted:
            if name not in KINDS:
                raise UnknownNameError("dynamic part of DyMN", name, KINDS)
            if name not in before:
                raise UnsupportedError(
                    f"this DyMN was built with {name}=absent, which cannot be switched; build another"
                )
        for module in self.modules():
            for name, value in wanted.items():
                if isinstance(module, KINDS[name]):
                    module.active = bool(value)
        return before

    @contextlib.contextmanager
    def switched(self, **wanted: bool) -> Iterator[DyMN]:
        """The network with parts switched as in `switch` while the block runs; then as before."""
        before = self.switch(**wanted)
        try:
            yield self
        finally:
            self.switch(**before)

    def _switches(self) -> dict[str, bool]:
        """Which of the existing parts are on."""
        return {
            name: bool(module.active)
            for module in self.modules()
            for name, kind in KINDS.items()
            if isinstance(module, kind)
        }

    def state_settings(self) -> dict[str, Any]:
        """The settings that can change after it was built: they are saved with it and count for its digest."""
        on = self._switches()
        states = {name: ("on" if on[name] else "off") if name in on else "absent" for name in KINDS}
        return {**states, "temperature": self.temperature}


def _places() -> dict[str, Place]:
    """Padded convolutions of odd length with a stride: cell i is centred on feature i * stride, whatever the length."""
    step, places = 2.0, {"in_c": every(2.0)}
    for i, row in enumerate(ROWS):
        if row.stride > 1:  # the block's first layers stand before its stride
            places.update(
                dict.fromkeys((f"layers.{i}.{name}" for name in ("exp_conv", "exp_norm", "exp_act")), every(step))
            )
        step *= row.stride
        places[f"layers.{i}"] = every(step)
    return {**places, "out_c": every(step)}


@register(
    "architecture",
    "dymn",
    family="dymn",
    source="schmid2024dynamic, chen2020dynamic, chen2020dyrelu, hou2021coordinate",
    parameters=(
        Parameter("width", float, 1.0, "multiplies every channel count; 0.4 is dymn04, 1.0 dymn10", 0.05, 8.0),
        Parameter("dropout", float, 0.2, "before the last layer", 0.0, 0.95),
        Parameter("bn_momentum", float, 0.01, "of the running statistics; little data wants 0.1", 1e-4, 1.0),
        Parameter("coordinate_attention", str, "on", "gates along frequency and time", choices=SWITCH),
        Parameter("dynamic_convolution", str, "on", "four kernels, mixed for each clip", choices=SWITCH),
        Parameter("dynamic_relu", str, "on", "an activation that depends on the clip", choices=SWITCH),
        Parameter("temperature", float, 1.0, "of the softmax over the four kernels", 1e-3, 1e6),
    ),
)
def dymn(n_classes: int, **settings: Any) -> Parts:
    """Dynamic MobileNet tagger of EfficientAT on 128 Kaldi mel bands at 32 kHz, at any width, with its ablations."""
    return Parts(
        DyMN(n_classes, DyMNSettings(**settings)),
        KaldiLogMel(),
        sample_rate=32000,
        cam_layer="out_c",
        axes=dict.fromkeys(("in_c", "layers", "out_c"), "channel freq frame"),
        places=_places(),
        head=("classifier.5.",),
    )


for _width, _name, _file in (
    (0.4, "dymn04_as", "dymn04_as.pt"),
    (1.0, "dymn10_as", "dymn10_as.pt"),
    (2.0, "dymn20_as", "dymn20_as_mAP_493.pt"),
):
    register_checkpoint(
        Checkpoint(
            name=_name,
            architecture="dymn",
            settings={"width": _width},
            url=f"{RELEASES}/{_file}",
            file=_file,
            labels=audioset_labels,
            summary=f"DyMN tagger of width {_width:g}, trained on AudioSet by the authors of EfficientAT.",
            licence="MIT (weights), CC BY 4.0 (labels)",
            source="schmid2024dynamic",
        )
    )

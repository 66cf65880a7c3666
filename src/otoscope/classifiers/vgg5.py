"""VGG-5: the small network on a linear spectrogram whose features were first made audible.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. Five blocks, ``block1`` to ``block5``; each is a module
with a ``conv`` and gives its map after ReLU and pooling, so that auralisation can walk back through them.

Source: choi2015auralisation. We differ in the head, which the published procedure does not specify: the original takes
clips of four seconds; here the mean of the last map goes to one linear layer, and sounds may have any length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.base import Place
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import FrameConfig, LinearStft

BLOCKS = ("block1", "block2", "block3", "block4", "block5")


class VggBlock(nn.Module):
    """Convolution of three by three with bias, ReLU, the largest of each two by two."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, freq, frame) -> (batch, n_out, freq // 2, frame // 2)."""
        return nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)


class Vgg5(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    channels : int
        Of each block.
    """

    def __init__(self, n_classes: int, channels: int = 64):
        super().__init__()
        if n_classes < 1 or channels < 1:
            raise ParameterError(f"VGG-5 needs at least one class and one channel; got {n_classes} and {channels}")
        for i, name in enumerate(BLOCKS):
            self.add_module(name, VggBlock(channels if i else 1, channels))
        self.head = nn.Linear(channels, n_classes)
        self.apply(_initialise)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``, at least 32 by 32."""
        x = features
        for name in BLOCKS:
            x = self.get_submodule(name)(x)  # (batch, channel, freq // 2, frame // 2)
        return self.head(x.mean((2, 3)))


def _places() -> dict[str, Place]:
    """Padded convolutions keep the places; the largest of 2 x 2 cells is put between them."""
    places: dict[str, Place] = {}
    for i, name in enumerate(BLOCKS):
        before, after = ((2**n - 1) / 2 for n in (i, i + 1))
        places[f"{name}.conv"] = ((before, 2.0**i), (before, 2.0**i))
        places[name] = ((after, 2.0 ** (i + 1)), (after, 2.0 ** (i + 1)))
    return places


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register(
    "architecture",
    "vgg5",
    family="vgg5",
    source="choi2015auralisation",
    parameters=(
        Parameter("channels", int, 64, "maps of each block", 1, 1024),
        Parameter(
            "compress",
            str,
            "none",
            "none: magnitudes as they are, as in the original; log1p: log(1 + magnitude)",
            choices=("none", "log1p"),
        ),
    ),
)
def vgg5(n_classes: int, channels: int, compress: str) -> Parts:
    """VGG-5 of the auralisation experiments: five 3x3 convolutions on a linear STFT at 11025 Hz."""
    frames = FrameConfig(11025, 512, 256, minimum_frames=2 ** len(BLOCKS))
    return Parts(
        Vgg5(n_classes, channels),
        LinearStft(frames, "magnitude" if compress == "none" else compress),
        sample_rate=11025,
        cam_layer=BLOCKS[-1],
        axes=dict.fromkeys(BLOCKS, "channel freq frame"),
        places=_places(),
        head=("head.",),
    )

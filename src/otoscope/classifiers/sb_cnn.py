"""SB-CNN: three convolutions and a flattened map, the baseline of environmental sound classification.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. The dense layer sees a window of fixed length. A longer
sound is heard by windows that cover it evenly, and their logits are averaged. The convolutions do not pad, so they run
once over the whole sound, and a window of their maps is just what they give for that window alone: CAM methods see one
map of the whole sound.

Source: salamon2017deep, in the form of zinemanas2021apnet (five by five kernels without padding, batch norm).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.classifiers.apnet import LIMITS, framing
from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.base import Place
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import apnet_log_mel

POOLS = (2, 4)  # over frames; over frequency it is 2 both times


@dataclass(frozen=True)
class Sizes:
    """Layer sizes.

    Parameters
    ----------
    channels : tuple of int
        Of the three convolutions.
    hidden : int
        Of the dense layer.
    dropout : float in [0, 1)
        Before each dense layer.
    bn_momentum : float in (0, 1]
        0.01 as in Keras; little data wants 0.1.
    """

    channels: tuple[int, int, int] = (24, 48, 48)
    hidden: int = 64
    dropout: float = 0.5
    bn_momentum: float = 0.01


def map_size(n: int, pools: tuple[int, int]) -> int:
    """Cells that are left of ``n`` after three convolutions of five without padding and two poolings."""
    return ((n - 4) // pools[0] - 4) // pools[1] - 4


class SbCnn(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    n_mels : int
        Number of mel bands.
    frames : int
        Length of the window that the dense layer sees; shorter features are an error, longer ones are covered.
    sizes : Sizes, optional
        Channels, kernels and pooling; by default those of the paper.
    """

    def __init__(self, n_classes: int, n_mels: int = 128, frames: int = 128, sizes: Sizes | None = None):
        super().__init__()
        sizes = sizes or Sizes()
        self.window, bands = map_size(frames, POOLS), map_size(n_mels, (2, 2))
        if self.window < 1 or bands < 1 or n_classes < 1:
            raise ParameterError(
                "SB-CNN needs at least 52 frames, 32 mel bands and one class, or its maps are empty; "
                f"got {frames}, {n_mels} and {n_classes}"
            )
        c1, c2, c3 = sizes.channels
        self.conv1, self.norm1 = nn.Conv2d(1, c1, 5), nn.BatchNorm2d(c1, eps=1e-3, momentum=sizes.bn_momentum)
        self.conv2, self.norm2 = nn.Conv2d(c1, c2, 5), nn.BatchNorm2d(c2, eps=1e-3, momentum=sizes.bn_momentum)
        self.conv3, self.norm3 = nn.Conv2d(c2, c3, 5), nn.BatchNorm2d(c3, eps=1e-3, momentum=sizes.bn_momentum)
        self.drop1, self.dense1 = nn.Dropout(sizes.dropout), nn.Linear(c3 * bands * self.window, sizes.hidden)
        self.drop2, self.out = nn.Dropout(sizes.dropout), nn.Linear(sizes.hidden, n_classes)
        self.apply(_initialise)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``, at least ``frames`` long."""
        x = torch.relu(self.conv1(features))  # (batch, c1, freq - 4, frame - 4)
        x = self.norm1(nn.functional.max_pool2d(x, (2, POOLS[0])))
        x = torch.relu(self.conv2(x))
        x = self.norm2(nn.functional.max_pool2d(x, (2, POOLS[1])))  # (batch, c2, freq / 4, frame / 8)
        x = self.norm3(torch.relu(self.conv3(x)))  # (batch, c3, freq / 4 - 4, frame / 8 - 4)
        windows = torch.stack([x[..., s : s + self.window] for s in starts(x.shape[-1], self.window)], 1)
        x = self.drop1(windows.flatten(2))  # (batch, window, c3 * freq * frame)
        x = self.drop2(torch.relu(self.dense1(x)))
        return self.out(x).mean(1)


def starts(n: int, window: int) -> list[int]:
    """Where the fewest windows begin that cover ``n`` cells, evenly spread from the first to the last cell."""
    count = -(-n // window)
    return [0] if count <= 1 else [round(i * (n - window) / (count - 1)) for i in range(count)]


def _places() -> dict[str, Place]:
    """Each convolution of five without padding begins two cells further in; a pooled cell is the middle of its own."""
    places: dict[str, Place] = {}
    at = [(0.0, 1.0), (0.0, 1.0)]  # (first, step) over frequency, over frames
    for i, pools in enumerate(((2, POOLS[0]), (2, POOLS[1]), (1, 1)), 1):
        at = [(first + 2 * step, step) for first, step in at]
        places[f"conv{i}"] = (at[0], at[1])
        at = [(first + step * (n - 1) / 2, step * n) for (first, step), n in zip(at, pools, strict=True)]
        places[f"norm{i}"] = (at[0], at[1])
    return places


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register(
    "architecture",
    "sb_cnn",
    family="sb_cnn",
    source="salamon2017deep, zinemanas2021apnet",
    parameters=(
        *framing(22050, 4096, 1024),
        Parameter("n_mels", int, 128, "mel bands", 32, 512),
        Parameter("frames", int, 64, "frames that the dense layer sees at once; shorter sounds are padded", 52, 4096),
        Parameter("bn_momentum", float, 0.01, "of the running statistics; little data wants 0.1", 1e-4, 1.0),
        *LIMITS,
    ),
)
def sb_cnn(
    n_classes: int,
    sample_rate: int,
    n_fft: int,
    hop: int,
    n_mels: int,
    frames: int,
    bn_momentum: float,
    low_db: float,
    high_db: float,
    top_db: float,
) -> Parts:
    """SB-CNN: three 5x5 convolutions on a log-mel window of fixed length; longer sounds are averaged over windows."""
    return Parts(
        SbCnn(n_classes, n_mels, frames, Sizes(bn_momentum=bn_momentum)),
        apnet_log_mel(sample_rate, n_fft, hop, n_mels, frames, limits_db=(low_db, high_db), top_db=top_db or None),
        sample_rate=sample_rate,
        cam_layer="norm3",
        axes=dict.fromkeys(("conv1", "norm1", "conv2", "norm2", "conv3", "norm3"), "channel freq frame"),
        places=_places(),
        head=("out.",),
    )

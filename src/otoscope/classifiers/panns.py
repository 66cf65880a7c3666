"""CNN6, CNN10 and CNN14 of PANNs, at any width.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. Parts first, the whole last. Names and shapes of the
parameters are those of the published files, so that they load strictly. Inside, maps lie ``(channel, frame, freq)``: the
authors look at time first, and so must whoever hooks a layer (see `Parts.axes`).

Source: kong2020panns. We differ in three things: logits are returned, not their sigmoid; spectrogram masking belongs to
training and is not part of the network; a width can be chosen.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.base import Place
from otoscope.classifiers.checkpoints import Checkpoint, audioset_labels, register_checkpoint
from otoscope.core.errors import ParameterError, WeightsError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import FrameConfig, LinearStft, LogMel, MelBands

RELEASES = "https://zenodo.org/records/3987831/files"
FEATURES = ("panns", "mel64", "stft257", "mel64_16k")


class PannsBlock(nn.Module):
    """Convolutions, each with batch norm and ReLU, then a mean over neighbours.

    ``kernel`` 3: two of them (CNN10, CNN14). ``kernel`` 5: one (CNN6).
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, pool: int):
        super().__init__()
        self.pool, self.deep = pool, kernel == 3
        self.conv1 = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        if self.deep:
            self.conv2 = nn.Conv2d(n_out, n_out, kernel, padding=kernel // 2, bias=False)
            self.bn2 = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, frame, freq) -> (batch, n_out, frame / pool, freq / pool)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.deep:
            x = torch.relu(self.bn2(self.conv2(x)))
        return nn.functional.avg_pool2d(x, self.pool) if self.pool > 1 else x


class Panns(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    depth : 6, 10 or 14
        Four blocks of one 5x5 convolution, four of two 3x3, or six of two 3x3, the last without pooling.
    width : float
        Multiplies every channel count; at 1 the first block has 64.
    n_bins : int
        Number of frequencies of the features.
    dropout : float in [0, 1)
        After each block; before the hidden layer it is 0.5.
    """

    def __init__(self, n_classes: int, depth: int, width: float = 1.0, n_bins: int = 64, dropout: float = 0.2):
        super().__init__()
        if depth not in (6, 10, 14) or not 0.05 <= width <= 4 or n_classes < 1:
            raise ParameterError(
                "PANNs take a depth of 6, 10 or 14, a width in [0.05, 4] and at least one class; "
                f"got {depth}, {width} and {n_classes}"
            )
        self.dropout, self.n_blocks = dropout, 6 if depth == 14 else 4
        self.bn0 = nn.BatchNorm2d(n_bins)
        n_in, n_out = 1, max(4, round(64 * width))
        for i in range(1, self.n_blocks + 1):
            self.add_module(f"conv_block{i}", PannsBlock(n_in, n_out, 5 if depth == 6 else 3, 1 if i == 6 else 2))
            n_in, n_out = n_out, 2 * n_out
        self.fc1 = nn.Linear(n_in, n_in)
        self.fc_audioset = nn.Linear(n_in, n_classes)
        self.apply(_initialise)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``."""
        x = self.bn0(features.transpose(1, 2))  # (batch, freq, 1, frame): one norm a frequency
        x = x.permute(0, 2, 3, 1)  # (batch, 1, frame, freq)
        for i in range(1, self.n_blocks + 1):
            x = self.get_submodule(f"conv_block{i}")(x)  # (batch, channel, frame / 2^i, freq / 2^i)
            x = nn.functional.dropout(x, self.dropout, self.training)
        x = x.mean(3)  # (batch, channel, frame)
        x = x.amax(2) + x.mean(2)  # (batch, channel)
        x = nn.functional.dropout(x, 0.5, self.training)
        return self.fc_audioset(torch.relu(self.fc1(x)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def panns_frontend(features: str, minimum_frames: int = 1) -> LogMel | LinearStft:
    """The features by name.

    - ``panns``: the authors', 64 Slaney bands of 50-14000 Hz at 32 kHz, frames of 1024 every 320 samples, in dB;
    - ``mel64``: the same with HTK bands without area norm (audiointerp);
    - ``stft257``: 257 STFT bins at 16 kHz, frames of 512 every 256 samples, in dB (audiointerp);
    - ``mel64_16k``: 64 Slaney bands of 50-8000 Hz at 16 kHz, frames of 512 every 160 samples: half the samples, as many
      frames (the front end of the authors' 16 kHz files).
    """
    if features == "stft257":
        return LinearStft(FrameConfig(16000, 512, 256, minimum_frames=minimum_frames), "db")
    if features == "mel64_16k":
        return LogMel(FrameConfig(16000, 512, 160, minimum_frames=minimum_frames), MelBands(64, 50.0, 8000.0))
    scale, norm = ("htk", "none") if features == "mel64" else ("slaney", "slaney")
    return LogMel(FrameConfig(minimum_frames=minimum_frames), MelBands(64, 50.0, 14000.0, scale, norm))


def _places(network: Panns) -> dict[str, Place]:
    """Padded convolutions keep the places; a mean over 2 x 2 cells lies between them."""
    places: dict[str, Place] = {}
    step = 1
    for i in range(1, network.n_blocks + 1):
        block = network.get_submodule(f"conv_block{i}")
        before = ((step - 1) / 2, float(step))
        places.update({f"conv_block{i}.{name}": (before, before) for name, _ in block.named_children()})
        step *= block.pool if isinstance(block, PannsBlock) else 1
        after = ((step - 1) / 2, float(step))
        places[f"conv_block{i}"] = (after, after)
    return places


def _parts(depth: int, n_classes: int, width: float, features: str, dropout: float) -> Parts:
    n_bins = 257 if features == "stft257" else 64
    network = Panns(n_classes, depth, width, n_bins, dropout)
    layers = [f"conv_block{i}" for i in range(1, network.n_blocks + 1)]
    frontend = panns_frontend(features, minimum_frames=32 if depth == 14 else 16)
    return Parts(
        network,
        frontend,
        sample_rate=frontend.sample_rate,
        cam_layer=layers[-1],
        axes=dict.fromkeys(layers, "channel frame freq"),
        places=_places(network),
        # The first norm depends on the frequencies: a body from other features cannot bring it along.
        head=("fc_audioset.",) if n_bins == 64 else ("fc_audioset.", "bn0."),
    )


_SETTINGS = (
    Parameter("width", float, 1.0, "multiplies every channel count; 1.0 is the published size", 0.05, 4.0),
    Parameter(
        "features",
        str,
        "panns",
        "panns: the authors' mel bands; mel64 and stft257: audiointerp's; mel64_16k: mel bands at 16 kHz",
        choices=FEATURES,
    ),
    Parameter("dropout", float, 0.2, "after each block", 0.0, 0.95),
)


@register("architecture", "cnn6", family="panns", source="kong2020panns, audiointerp", parameters=_SETTINGS)
def cnn6(n_classes: int, width: float, features: str, dropout: float) -> Parts:
    """CNN6 of PANNs: four blocks of one 5x5 convolution on log-mel features."""
    return _parts(6, n_classes, width, features, dropout)


@register("architecture", "cnn10", family="panns", source="kong2020panns, audiointerp", parameters=_SETTINGS)
def cnn10(n_classes: int, width: float, features: str, dropout: float) -> Parts:
    """CNN10 of PANNs: four blocks of two 3x3 convolutions on log-mel features."""
    return _parts(10, n_classes, width, features, dropout)


@register("architecture", "cnn14", family="panns", source="kong2020panns, audiointerp", parameters=_SETTINGS)
def cnn14(n_classes: int, width: float, features: str, dropout: float) -> Parts:
    """CNN14 of PANNs: six blocks of two 3x3 convolutions on log-mel features, or on an STFT."""
    return _parts(14, n_classes, width, features, dropout)


def without_frontend(state: dict[str, Tensor], features: str = "panns") -> dict[str, Tensor]:
    """The network's tensors of a published file, which holds its front end too; that must be ours.

    Raises
    ------
    WeightsError
        If the file's mel bands or window are others than ours: its network would hear something else.
    """
    frontend = panns_frontend(features)
    if not isinstance(frontend, LogMel):
        raise WeightsError(f"published weights of PANNs are for mel bands, not for features={features}")
    window = "spectrogram_extractor.stft.conv_real.weight"  # its first row is the window: the cosine of 0 Hz is one
    for key, own in (("logmel_extractor.melW", frontend.bank.T), (window, frontend.window)):
        if key not in state:
            continue
        found = state[key][0].flatten() if key == window else state[key]
        if found.shape != own.shape or not torch.allclose(found.float(), own, atol=1e-3 * float(own.max()), rtol=0):
            raise WeightsError(
                f"the file's {key} {tuple(found.shape)} is not that of features={features} {tuple(own.shape)}; "
                "it was trained on another front end (16 kHz or 8 kHz?), give the 32 kHz file"
            )
    return {k: v for k, v in state.items() if not k.startswith(("spectrogram_extractor.", "logmel_extractor."))}


for _name, _file, _sha256 in (
    ("cnn6", "Cnn6_mAP=0.343.pth", None),
    ("cnn10", "Cnn10_mAP=0.380.pth", None),
    ("cnn14", "Cnn14_mAP=0.431.pth", "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31"),
):
    register_checkpoint(
        Checkpoint(
            name=f"{_name}_as",
            architecture=_name,
            settings={},
            url=f"{RELEASES}/{_file.replace('=', '%3D')}",
            file=_file,
            sha256=_sha256,
            labels=audioset_labels,
            summary=f"{_name.upper()} tagger, trained on AudioSet by the authors of PANNs.",
            licence="CC BY 4.0 (weights and labels)",
            source="kong2020panns",
            convert=partial(without_frontend, features="panns"),
        )
    )

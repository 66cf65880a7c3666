"""APNet: a network that decides by how alike a sound is to learned prototypes, which can be decoded and heard.

Features ``(batch, 1, freq, frame)`` of a fixed length -> logits ``(batch, class)``. An encoder makes a latent map, and each
prototype is such a map. The similarity at each frequency is ``exp(-distance)``; a weighted sum over frequencies gives one
similarity per prototype, and a linear layer without bias turns similarities into logits. A decoder, trained to reconstruct the
features, makes the prototypes visible and audible.

Source: zinemanas2021apnet and the authors' model files (the third convolution is followed by a LeakyReLU). We differ in two
things unless ``published`` is set. Before the training, the prototypes are the maps of clips of their class, and distances are
scaled so that their median is 1; sums of squares are near 0 or so large that ``exp`` underflows, depending on the size of the
map. The weights over frequency are scaled to sum to 1 for each prototype (there: to unit length across prototypes, which changes
when one is deleted).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otoscope.classifiers.architecture import Parts
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.spectral.apnet import APNET_RANGE, apnet_log_mel

SLOPE = 0.3  # of LeakyReLU, as in Keras
POOL = 2


@dataclass(frozen=True)
class Latent:
    """What the encoder makes of features.

    Parameters
    ----------
    map : Tensor (batch, channel, freq, frame)
        A quarter of the features' bands and frames.
    masks : tuple of Tensor
        Where each pooling found its largest values, ``(batch, channel, freq, frame)`` before it; the decoder puts values there.
    """

    map: Tensor
    masks: tuple[Tensor, Tensor]


class ApNetEncoder(nn.Module):
    """Features ``(batch, 1, freq, frame)`` -> `Latent`."""

    def __init__(self, channels: int, latent_channels: int | None = None):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(n, channels, 5, padding=2) for n in (1, channels))
        self.conv3 = nn.Conv2d(channels, latent_channels or channels, 5, padding=2)

    def forward(self, features: Tensor) -> Latent:
        x, first = _pool(nn.functional.leaky_relu(self.conv1(features), SLOPE))  # (batch, channel, freq / 2, frame / 2)
        x, second = _pool(nn.functional.leaky_relu(self.conv2(x), SLOPE))  # (batch, channel, freq / 4, frame / 4)
        return Latent(nn.functional.leaky_relu(self.conv3(x), SLOPE), (first, second))


class ApNetDecoder(nn.Module):
    """A latent map ``(batch, channel, freq, frame)`` and masks -> features ``(batch, 1, freq, frame)`` in [-1, 1]."""

    def __init__(self, channels: int, latent_channels: int | None = None):
        super().__init__()
        self.deconv1 = nn.ConvTranspose2d(latent_channels or channels, channels, 5, padding=2)
        self.deconv2, self.deconv3 = (nn.ConvTranspose2d(channels, n, 5, padding=2) for n in (channels, 1))

    def forward(self, latent: Tensor, masks: tuple[Tensor, Tensor]) -> Tensor:
        x = nn.functional.leaky_relu(_upsample(self.deconv1(latent)) * masks[1], SLOPE)
        x = nn.functional.leaky_relu(_upsample(self.deconv2(x)) * masks[0], SLOPE)
        return torch.tanh(self.deconv3(x))


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima of two by two cells, and where they were (in each of several places, if values are equal)."""
    pooled = nn.functional.max_pool2d(x, POOL)
    return pooled, (x >= _upsample(pooled)).to(x.dtype)


def _upsample(x: Tensor) -> Tensor:
    """Each cell as two by two."""
    return x.repeat_interleave(POOL, -1).repeat_interleave(POOL, -2)


class PrototypeLayer(nn.Module):
    """Similarities of latent maps to learned ones, at each frequency and over all.

    Parameters
    ----------
    n : int
        Number of prototypes.
    shape : (int, int, int)
        Channels, frequencies and frames of a latent map.
    published : bool
        Weights over frequency have unit length across prototypes, not the sum 1 for each.

    Attributes
    ----------
    scale : Tensor
        Factor of the mean squared differences. To begin with it is the number of channels times frames, which makes them sums.
    """

    scale: Tensor

    def __init__(self, n: int, shape: tuple[int, int, int], published: bool = False):
        super().__init__()
        self.published = published
        self.maps = nn.Parameter(torch.empty(n, *shape).uniform_(-0.05, 0.05))
        self.weights = nn.Parameter(torch.full((n, shape[1]), 1 / shape[1]))
        self.register_buffer("scale", torch.tensor(float(shape[0] * shape[2])))

    def distances(self, latent: Tensor) -> Tensor:
        """Squared distances ``(batch, prototype, freq)``, without an array of batch times prototypes times cells."""
        z, p = latent.permute(2, 0, 1, 3).flatten(2), self.maps.permute(2, 0, 1, 3).flatten(2)  # (freq, any, cell)
        crossed = torch.bmm(z, p.transpose(1, 2))  # (freq, batch, prototype)
        squares = z.square().sum(-1)[:, :, None] + p.square().sum(-1)[:, None]
        return (squares - 2 * crossed).clamp_min(0).permute(1, 2, 0) * (self.scale / z.shape[-1])

    def shares(self, latent: Tensor) -> Tensor:
        """Shares of frames in what is alike at each frequency, ``(batch, prototype, freq, frame)``, which sum to 1.

        A frame's share is in proportion to ``exp(-distance)`` of that frame alone.
        """
        # (cell, any, channel)
        z, p = (x.permute(2, 3, 0, 1).flatten(0, 1) for x in (latent, self.maps))
        squares = z.square().sum(-1)[:, :, None] + p.square().sum(-1)[:, None] - 2 * torch.bmm(z, p.transpose(1, 2))
        distances = squares.clamp_min(0).unflatten(0, latent.shape[2:]).permute(2, 3, 0, 1)
        return (-distances * (self.scale / z.shape[-1])).softmax(-1)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities ``(batch, prototype)`` and distances ``(batch, prototype, freq)``."""
        distances = self.distances(latent)
        return (torch.exp(-distances) * self.weights).sum(-1), distances

    def subset(self, which: Sequence[int]) -> PrototypeLayer:
        """A layer of some of the prototypes."""
        made = copy.deepcopy(self)
        made.maps, made.weights = nn.Parameter(self.maps[which].detach()), nn.Parameter(self.weights[which].detach())
        return made

    @torch.no_grad()
    def constrain(self) -> None:
        """Scale the weights over frequency, as is done after each step of the training."""
        axis, norm = (0, 2) if self.published else (1, 1)
        self.weights.div_(self.weights.norm(norm, axis, keepdim=True).clamp_min(1e-7))


class ApNet(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    n_mels, frames : int
        Size of the features, multiples of 4.
    channels : int
        Of every convolution.
    n_prototypes : int
        Number of prototypes, at least one a class.
    published : bool
        The published form; see the module.
    latent_channels : int, optional
        Of the latent map, if they are not ``channels``.
    """

    latent_layer = "encoder.conv3"  # whose cells are those of the latent map

    def __init__(
        self,
        n_classes: int,
        n_mels: int,
        frames: int,
        channels: int,
        n_prototypes: int,
        published: bool = False,
        latent_channels: int | None = None,
    ):
        super().__init__()
        if n_mels % 4 or frames % 4 or min(n_mels, frames) < 4:
            raise ParameterError(f"APNet needs bands and frames that are multiples of 4; got {n_mels} and {frames}")
        if n_prototypes < n_classes:
            raise ParameterError(
                f"APNet needs at least one prototype for each of {n_classes} classes; got prototypes={n_prototypes}"
            )
        latent = latent_channels or channels
        self.encoder, self.decoder = ApNetEncoder(channels, latent), ApNetDecoder(channels, latent)
        self.prototypes = PrototypeLayer(n_prototypes, (latent, n_mels // 4, frames // 4), published)
        self.out = nn.Linear(n_prototypes, n_classes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.constant_(module.get_parameter("bias"), 0.0)
        with torch.no_grad():
            self.out.weight.copy_(own_class(n_classes, n_prototypes, published))
            self.out.weight += torch.empty_like(self.out.weight).uniform_(-0.05, 0.05)
        self.prototypes.constrain()

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``."""
        return self.decide(self.encoder(features).map)[0]

    def decide(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, class)`` of latent maps, and mean distances over frequencies ``(batch, prototype)``."""
        similarities, distances = self.prototypes(latent)
        return self.out(similarities), distances.mean(-1)

    def contributions(self, features: Tensor, targets: Tensor) -> Tensor:
        """What each cell of each prototype contributes to the logits of classes ``(batch,)``: ``(batch, prototype, freq, frame)``.

        They sum to the logit. See `PrototypeLayer.shares` for the frames.
        """
        latent = self.encoder(features).map
        layer = self.prototypes
        alike = torch.exp(-layer.distances(latent)) * layer.weights  # (batch, prototype, freq)
        return (self.out.weight[targets][:, :, None] * alike)[..., None] * layer.shares(latent)

    @torch.no_grad()
    def initialise(self, features: Tensor, targets: Tensor, generator: torch.Generator) -> None:
        """Begin with prototypes that are maps of clips of their class, and with distances whose median is 1.

        Parameters
        ----------
        features : Tensor (clip, 1, freq, frame)
            Of training clips.
        targets : Tensor (clip,)
            Their classes; all classes must occur.
        generator : torch.Generator
            Draws the clips.
        """
        layer = self.prototypes
        if layer.published:
            return
        maps = torch.cat([self.encoder(part).map for part in features.split(32)])
        owners = self.out.weight.argmax(0)
        for owner in owners.unique().tolist():
            own, wanted = (targets == owner).nonzero()[:, 0], (owners == owner).nonzero()[:, 0]
            drawn = torch.cat(
                [torch.randperm(len(own), generator=generator) for _ in range(-(-len(wanted) // len(own)))]
            )
            layer.maps[wanted] = maps[own[drawn[: len(wanted)]]]
        layer.scale.div_(layer.distances(maps).median().clamp_min(1e-12))

    def losses(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and the losses that training adds to that of the classification.

        ``reconstruction`` is the mean square of what the decoder misses of the features. ``prototypes`` draws each prototype to the
        nearest map of the batch, and each map to its nearest prototype: means of the least distances, over the frequencies.
        """
        latent = self.encoder(features)
        logits, distances = self.decide(latent.map)
        found = self.decoder(latent.map, latent.masks)
        return logits, {
            "reconstruction": nn.functional.mse_loss(found, features),
            "prototypes": distances.amin(0).mean() + distances.amin(1).mean(),
        }

    def constrain(self) -> None:
        """What is done after each step of the training: see `PrototypeLayer.constrain`."""
        self.prototypes.constrain()


def own_class(n_classes: int, n_prototypes: int, published: bool = False) -> Tensor:
    """Weights ``(class, prototype)`` of a last layer: 1 for the prototypes of a class and -1 for the others; published, 1/n, -1/n.

    Each class has n prototypes. With the smaller weights, the probabilities stay near chance for the first epochs.
    """
    owner = torch.arange(n_prototypes) * n_classes // n_prototypes
    own = (owner == torch.arange(n_classes)[:, None]).float()
    return (2 * own - 1) / (own.sum(1, keepdim=True) if published else 1)


LIMITS = (
    Parameter("low_db", float, APNET_RANGE[0], "level of the features' -1", -200, 100),
    Parameter("high_db", float, APNET_RANGE[1], "level of the features' 1", -100, 200),
    Parameter(
        "top_db", float, 0.0, "dB below the loudest cell of a sound at which features end; 0 for no limit", 0, 200
    ),
)


def framing(sample_rate: int, n_fft: int, hop: int) -> tuple[Parameter, ...]:
    """Settings of the framing, with their defaults, which APNet and its two baselines share; as `LIMITS`."""
    return (
        Parameter("sample_rate", int, sample_rate, "Hz", 4000, 192000),
        Parameter("n_fft", int, n_fft, "samples in a frame", 64, 16384),
        Parameter("hop", int, hop, "samples from frame to frame", 16, 16384),
    )


@register(
    "architecture",
    "apnet",
    family="apnet",
    source="zinemanas2021apnet",
    parameters=(
        *framing(22050, 4096, 1024),
        Parameter("n_mels", int, 128, "mel bands", 4, 512),
        Parameter("frames", int, 84, "frames of the fixed window; shorter sounds are padded", 4, 4096),
        Parameter("channels", int, 32, "of every convolution", 1, 512),
        Parameter("latent_channels", int, 0, "of the latent map; 0 for as many", 0, 512),
        Parameter("prototypes", int, 50, "prototypes, spread evenly over the classes at the start", 1, 10000),
        Parameter(
            "published", bool, False, "distances are sums, weights over frequency have unit length across prototypes"
        ),
        *LIMITS,
    ),
)
def apnet(
    n_classes: int,
    sample_rate: int,
    n_fft: int,
    hop: int,
    n_mels: int,
    frames: int,
    channels: int,
    latent_channels: int,
    prototypes: int,
    published: bool,
    low_db: float,
    high_db: float,
    top_db: float,
) -> Parts:
    """APNet: decides by how alike a sound is to learned prototypes, which can be decoded and heard; windows of a fixed length."""
    return Parts(
        ApNet(n_classes, n_mels, frames, channels, prototypes, published, latent_channels or None),
        apnet_log_mel(
            sample_rate, n_fft, hop, n_mels, frames, True, (low_db, high_db), top_db or None, ahead=int(published)
        ),
        sample_rate=sample_rate,
        cam_layer="encoder.conv3",
        axes=dict.fromkeys(("encoder.conv1", "encoder.conv2", "encoder.conv3"), "channel freq frame"),
        places={
            "encoder.conv1": ((0.0, 1.0), (0.0, 1.0)),
            "encoder.conv2": ((0.5, 2.0), (0.5, 2.0)),
            "encoder.conv3": ((1.5, 4.0), (1.5, 4.0)),
        },
        head=("prototypes.", "out."),
    )

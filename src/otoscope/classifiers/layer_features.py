"""The features of one layer as a classifier: what any method explains of a class, it then explains of a feature.

A *feature* is one channel of a layer's map: what one filter of a convolution gives over time and frequency, or one number of a
transformer's tokens; or, with ``:heads`` behind the name of a self-attention, all that one of its heads gives. Its *response* to a
sound is the root mean square of the difference between that map and the map of silence: what the sound changes, and not what the
biases give to anything. As a classifier, each feature is a class of its own, whose odds are its response over its reference: the
largest of its responses to three standard sounds (`standard_sounds`). So a probability of one half is a response as strong as that,
and the ratio of two odds is the ratio of two responses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_maps import feature_maps, one_map
from otoscope.core.errors import UnsupportedError
from otoscope.surgery import output_of, preserve_state, record_layer

FLOOR = 1e-4  # responses below this share of the reference count as it: -80 dB
STANDARD_DB = -20.0  # level of the standard sounds, re full scale


class LayerFeatures(nn.Module):
    """A network up to one layer: what it takes -> log odds ``(batch, feature)`` of the layer's features.

    Parameters
    ----------
    classifier : Classifier
        Its network is shared, not copied.
    layer : str
        Dotted name of the layer.
    reference : Tensor (feature,)
        Response at which the odds are one.
    """

    def __init__(self, classifier: Classifier, layer: str, reference: Tensor):
        super().__init__()
        self.network, self.layer = classifier.network, layer
        self._classifier = [classifier]  # in a list: its network is registered once
        self._silent: tuple[Any, Tensor] | None = None  # for which weights and shape, and the maps of silence
        self.register_buffer("reference", reference)
        for name in ("token_maps", "span_s"):
            if hasattr(classifier.network, name):
                setattr(self, name, getattr(classifier.network, name))

    @property
    def classifier(self) -> Classifier:
        """Whose layer it is."""
        return self._classifier[0]

    def maps(self, given: Tensor) -> Tensor:
        """Maps of the layer's features, see `feature_maps`; the pass ends there."""
        return feature_maps(self._classifier[0], self.layer, output_of(self.network, self.layer, given))

    def changes(self, given: Tensor) -> Tensor:
        """Maps of the layer less those of silence, ``(batch, feature, ...)``."""
        maps = self.maps(given)
        state = (
            given.shape[1:],
            maps.device,
            sum(0 if t.is_inference() else t._version for t in self.network.state_dict().values()),
        )
        if self._silent is None or self._silent[0] != state:
            quiet = torch.full_like(given[:1].detach(), float(getattr(self._classifier[0].frontend, "silence", 0.0)))
            with torch.no_grad():
                self._silent = state, self.maps(quiet).detach()
        return maps.float() - self._silent[1].float()

    def forward(self, given: Tensor) -> Tensor:
        """Log odds ``(batch, feature)``."""
        reference = self.get_buffer("reference")
        power = self.changes(given).square().flatten(2).mean(2)
        return 0.5 * (power / reference.square() + FLOOR**2).log()

    def state_settings(self) -> dict[str, Any]:
        """Which layer it is."""
        return {"layer": self.layer}


def layer_features(classifier: Classifier, layer: str, exclusive: bool = False) -> Classifier:
    """The features of a layer as the classes of a classifier.

    Parameters
    ----------
    classifier : Classifier
        Any classifier whose layers can be read; it stays as it is, and its network is shared.
    layer : str
        Dotted name of a layer with maps over time, such as ``features.3`` or ``blocks.2.attn:heads``; `Classifier.layers` lists
        the names.
    exclusive : bool
        A feature's probability is its share of the odds of all (softmax): what is explained is then what draws this feature
        and not the others.

    Returns
    -------
    Classifier
        With a label ``LAYER[NUMBER]`` for each feature. See the module for what odds mean.

    Raises
    ------
    UnknownNameError
        If there is no such layer; the nearest names are given.
    UnsupportedError
        If the layer has no maps over time, is used several times in a pass, or cannot be read.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> len(features.labels), features.labels[17]
    (64, 'block1[17]')
    """
    if isinstance(classifier.network, LayerFeatures):
        raise UnsupportedError(f"{classifier.name!r} is a layer's features already; give the classifier itself")
    check_layers(classifier)
    sounds = standard_sounds(classifier.fitting_length(classifier.sample_rate), classifier.sample_rate).to(
        classifier.device
    )
    with preserve_state(classifier), torch.no_grad():
        with record_layer(classifier.network, layer) as outputs:
            classifier(sounds[:1])
        maps = feature_maps(classifier, layer, one_map(layer, outputs, 1))
        probe = LayerFeatures(classifier, layer, torch.ones(maps.shape[1], device=maps.device))
        power = torch.cat([probe.changes(classifier.given(x[None]).to(classifier.dtype)) for x in sounds])
    response = power.square().flatten(2).mean(2).sqrt().amax(0)
    if not bool(torch.isfinite(response).all()) or float(response.max()) <= 0:
        raise UnsupportedError(f"layer {layer!r} of {classifier.name!r} gives only zeros, or NaN; choose another layer")
    reference = response.clamp_min(1e-6 * float(response.max()))
    made = Classifier(
        LayerFeatures(classifier, layer, reference), sample_rate=classifier.sample_rate, multilabel=not exclusive,
        labels=[f"{layer}[{i}]" for i in range(len(reference))], frontend=classifier.frontend,
        name=f"{classifier.name}, {layer}", cam_layer=f"network.{layer}", axes=_inside(classifier.axes),
        places=_inside(classifier.places), min_s=classifier.min_s, window_s=classifier.window_s,
        overlap_s=classifier.overlap_s, one_by_one=classifier.one_by_one, info=classifier.info,
    )  # fmt: skip
    if classifier.origin is not None:
        options = {**classifier.origin.get("options", {}), "layer": layer, **({"exclusive": True} if exclusive else {})}
        made.origin = {**classifier.origin, "options": options}
    return made.eval()


def check_layers(classifier: Classifier) -> None:
    """Refuse a classifier of which no layer can be read, such as a function.

    Raises
    ------
    UnsupportedError
    """
    if not classifier.layers():
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no layers that can be read, so it has no features to hear; explain its classes"
        )


def _inside(table: dict[str, Any]) -> dict[str, Any]:
    return {f"network.{name}": value for name, value in table.items()}


def standard_sounds(n_samples: int, sample_rate: int) -> Tensor:
    """White noise, clicks (eight a second) and a logarithmic sweep, ``(3, time)``, all at -20 dB re full scale (RMS).

    Examples
    --------
    >>> standard_sounds(8000, 8000).square().mean(1).sqrt()
    tensor([0.1000, 0.1000, 0.1000])
    """
    noise = torch.randn(n_samples, generator=torch.Generator().manual_seed(0))
    clicks = torch.zeros(n_samples)
    clicks[:: max(1, sample_rate // 8)] = 1.0
    time = torch.arange(n_samples, dtype=torch.float64) / sample_rate
    low, high, duration = 40.0, 0.48 * sample_rate, n_samples / sample_rate
    rate = torch.log(torch.tensor(high / low, dtype=torch.float64)) / duration
    sweep = torch.sin(2 * torch.pi * low / rate * ((rate * time).exp() - 1)).float()
    sounds = torch.stack([noise, clicks, sweep])
    return sounds * 10 ** (STANDARD_DB / 20) / sounds.square().mean(1, keepdim=True).sqrt()


def reach_s(features: Classifier, share: float = 0.99) -> float:
    """How much of a sound one value of a layer's maps depends on, in seconds: what holds a share of its squared gradient.

    Parameters
    ----------
    features : Classifier
        What `layer_features` gives.
    share : float in (0, 1)
        Of the squared gradient of the map's middle frame by white noise.

    Raises
    ------
    UnsupportedError
        If there is no gradient.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> 0.05 < reach_s(features) < 0.15
    True
    """
    frames = features.fitting_length(4 * features.sample_rate)
    noise = standard_sounds(frames, features.sample_rate)[:1].to(features.device).requires_grad_()
    with preserve_state(features), torch.enable_grad():
        network: Any = features.network
        maps = network.maps(features.given(noise).to(features.dtype)).float()
        middle = maps[..., maps.shape[-1] // 2].square().sum()
        if not middle.requires_grad:
            raise UnsupportedError(f"classifier {features.name!r} gives no gradients from this layer to the sound")
        (gradient,) = torch.autograd.grad(middle, noise)
    power = gradient[0].double().square()
    centre = int((power.cumsum(0) < power.sum() / 2).sum())
    distance = (torch.arange(frames, device=power.device) - centre).abs()
    order = distance.argsort()
    inside = int((power[order].cumsum(0) < share * power.sum()).sum())
    return float(2 * distance[order][min(inside, frames - 1)]) / features.sample_rate

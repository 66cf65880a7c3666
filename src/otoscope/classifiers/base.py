"""What every classifier is: waveform ``(batch, time)`` at its own rate -> logits ``(batch, class)``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.audio.windows import fit_length
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError, UnsupportedError
from otoscope.core.records import Target
from otoscope.surgery.digest import state_digest

AXES = ("channel freq frame", "channel frame", "channel frame freq", "frame channel", "token channel")
Place = tuple[tuple[float, float], tuple[float, float]]  # (first, step) in feature bands, (first, step) in frames
T = TypeVar("T")


class Classifier(nn.Module):
    """A classifier of sounds.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``; without a front end: waveform -> logits.
    sample_rate : int, Hz
        The rate at which it listens.
    labels : sequence of str
        One a class, in order.
    multilabel : bool
        True: classes do not exclude each other (sigmoid). False: they do (softmax).
    frontend : nn.Module, optional
        Waveform ``(batch, time)`` -> features ``(batch, 1, freq, frame)``, differentiable, with ``band_frequencies()``
        (Hz), ``frame_times(n)`` (s), ``silence`` (the feature value of silence) and ``minimum_length`` (samples).
    name : str
        Name for messages and records.
    cam_layer : str, optional
        Dotted name, inside ``network``, of the layer that CAM methods look at unless told otherwise.
    axes : mapping of str to str, optional
        Dotted layer name, inside ``network``, -> the axes of its output after the batch, one of ``AXES``; it holds for
        the layers inside it too. Layers that are not named are taken to be in the order of the first that fits.
    places : mapping of str to ((float, float), (float, float)), optional
        Dotted layer name, inside ``network``, -> where the cells of its map lie: the centre of the first cell and the
        distance from cell to cell, in feature bands and then in feature frames (samples, without a front end), counted
        from 0. As ``axes``, it holds for the layers inside. Maps of other layers are taken to tile the features evenly.
    head : tuple of str
        Prefixes of the network's parameters whose shape depends on the number of classes.
    config : mapping, optional
        ``architecture`` and ``settings``, from which it can be built again; needed to save it as a model folder.
    info : dict, optional
        Where the weights come from, licence, results.

    Examples
    --------
    >>> model = load_classifier("esc10-mn")
    >>> model.sample_rate, len(model.labels), model(torch.zeros(2, 32000)).shape
    (32000, 10, torch.Size([2, 10]))
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        sample_rate: int,
        labels: Sequence[str],
        multilabel: bool = False,
        frontend: nn.Module | None = None,
        name: str = "classifier",
        cam_layer: str | None = None,
        axes: Mapping[str, str] | None = None,
        places: Mapping[str, Place] | None = None,
        head: tuple[str, ...] = (),
        config: Mapping[str, Any] | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__()
        if not (isinstance(sample_rate, int | float | np.number) and sample_rate >= 100 and sample_rate % 1 == 0):
            raise ParameterError(f"sample_rate must be a whole number of Hz of at least 100; got {sample_rate!r}")
        if not labels:
            raise ParameterError("a classifier needs at least one label")
        self.network, self.frontend = network, frontend
        self.sample_rate, self.labels, self.multilabel = int(sample_rate), tuple(map(str, labels)), bool(multilabel)
        self.name, self.cam_layer, self.info = name, cam_layer, dict(info or {})
        self.axes, self.places, self.head = _checked_axes(axes or {}), _checked_places(places or {}), tuple(head)
        self.config = dict(config) if config is not None else None
        self._digest: tuple[Any, str] | None = None
        self.origin: dict[str, Any] | None = None  # how `load_classifier` made it, for records

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples; shorter ones are padded with silence."""
        return int(getattr(self.frontend, "minimum_length", 1)) if self.frontend is not None else 1

    @property
    def maximum_length(self) -> int | None:
        """Longest waveform in samples, or None without a limit; longer sounds are heard in windows."""
        return getattr(self.frontend, "maximum_length", None)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        first = next(itertools.chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def pad(self, waveform: Tensor) -> Tensor:
        """The waveform, padded with silence to the minimum length."""
        return fit_length(waveform, max(self.minimum_length, waveform.shape[-1]))

    def features(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, freq, frame)`` of waveforms ``(batch, time)``."""
        if self.frontend is None:
            raise UnsupportedError(
                f"classifier {self.name!r} has no separate front end; pass frontend= to otoscope.wrap, "
                "or use the stft, mel or time domain"
            )
        return self.frontend(self.pad(waveform))

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of waveforms ``(batch, time)``."""
        if waveform.ndim != 2:
            raise ShapeError(f"a classifier takes waveforms (batch, time); got shape {tuple(waveform.shape)}")
        logits = self.network(self.pad(waveform) if self.frontend is None else self.features(waveform))
        return self.check(logits, len(waveform))

    def check(self, logits: Any, batch: int) -> Tensor:
        """The logits, if they are ``(batch, class)`` and fit the labels."""
        if not isinstance(logits, Tensor):
            raise ShapeError(
                f"classifier {self.name!r} returned {type(logits).__name__}, not a tensor of logits (batch, class); "
                "wrap it in a module that returns the logits alone"
            )
        if logits.shape != (batch, len(self.labels)):
            raise ShapeError(
                f"classifier {self.name!r} returned logits of shape {tuple(logits.shape)}, "
                f"expected ({batch}, {len(self.labels)}): (batch, class) with one label a class"
            )
        return logits

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities in [0, 1], ``(batch, class)``: sigmoid for independent classes, softmax for exclusive ones."""
        if not torch.isfinite(logits).all():
            raise NonFiniteError(
                f"classifier {self.name!r} gave NaN or infinite logits; check its weights and that it was trained on "
                f"sound at {self.sample_rate} Hz with full scale 1"
            )
        return logits.sigmoid() if self.multilabel else logits.softmax(-1)

    def target(self, wanted: int | str | None, probabilities: np.ndarray) -> Target:
        """The class of an index or of a label in any case; None gives the most probable one."""
        if wanted is None:
            index = int(np.argmax(probabilities))
            return Target(index, self.labels[index])
        if isinstance(wanted, str) and wanted not in self.labels:
            folded = [label.casefold() for label in self.labels]
            if wanted.casefold() in folded:
                wanted = folded.index(wanted.casefold())
            elif wanted.removeprefix("-").isdecimal():
                wanted = int(wanted)
            else:
                raise UnknownNameError(f"label of {self.name!r}", wanted, self.labels)
        index = self.labels.index(wanted) if isinstance(wanted, str) else int(wanted)
        if not 0 <= index < len(self.labels):
            raise ParameterError(
                f"target {index} is out of range: {self.name!r} has {len(self.labels)} classes, 0 to {len(self.labels) - 1}"
            )
        return Target(index, self.labels[index])

    def digest(self) -> str:
        """SHA-256 of names and values of all parameters and buffers: the same weights have the same digest.

        Settings that can change after the network was built (`state_settings`) count too. It is kept as long as torch
        counts no change to the tensors (changes through ``.data`` are not counted by torch).
        """
        state = sorted(self.network.state_dict().items())
        settings = tuple(self.state_settings().items())
        mark = (
            None
            if any(v.is_inference() for _, v in state)
            else (settings, *((k, v.data_ptr(), v._version) for k, v in state))
        )
        if mark is None or self._digest is None or self._digest[0] != mark:
            self._digest = (mark, state_digest(dict(state), settings))
        return self._digest[1]

    def state_settings(self) -> dict[str, Any]:
        """The architecture's settings that can change after it was built, as they are now; most networks have none."""
        find = getattr(self.network, "state_settings", None)
        return dict(find()) if find is not None else {}

    def layers(self) -> dict[str, str | None]:
        """Dotted names of the network's layers, each with the axes of its output after the batch where they are known."""
        return {name: self.axes_of(name) for name, _ in self.network.named_modules() if name}

    def axes_of(self, layer: str) -> str | None:
        """The axes of a layer's output after the batch: its own, else those of the nearest layer around it."""
        return _nearest(self.axes, layer)

    def place_of(self, layer: str) -> Place | None:
        """Where the cells of a layer's map lie: its own place, else that of the nearest layer around it, or None.

        ``((first, step), (first, step))``: centre of cell 0 and distance from cell to cell, in bands and in frames of
        the features.
        """
        return _nearest(self.places, layer)

    def maps(self, layer: str, output: Tensor) -> Tensor:
        """A layer's output as maps ``(batch, channel, freq, frame)``, or ``(batch, channel, frame)`` without frequency.

        Raises
        ------
        UnsupportedError
            If the output has another number of axes, or tokens that lie on no grid.
        """
        axes = self.axes_of(layer) or next((a for a in AXES if len(a.split()) == output.ndim - 1), "")
        if not axes or len(axes.split()) != output.ndim - 1:
            raise UnsupportedError(
                f"layer {layer!r} gives shape {tuple(output.shape)}, which is no map (batch, channel, freq, frame) or "
                "(batch, channel, frame); choose another layer"
            )
        if axes == "token channel":
            place = getattr(self.network, "token_maps", None)
            if place is None:
                raise UnsupportedError(f"classifier {self.name!r} has no positions for the tokens of layer {layer!r}")
            return place(output)
        order = [n for n in ("channel", "freq", "frame") if n in axes.split()]
        return output.permute(0, *(axes.split().index(n) + 1 for n in order))

    def save_pretrained(self, folder: str | os.PathLike[str], card: str | None = None, half: bool = False) -> Path:
        """Write a model folder: ``model.safetensors``, ``config.json`` and ``README.md``; see `save_folder`."""
        from otoscope.classifiers.folder import save_folder

        return save_folder(self, folder, card, half)

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], revision: str | None = None) -> Classifier:
        """A classifier from a model folder, or from one on the Hugging Face hub; see `load_pretrained`."""
        from otoscope.classifiers.folder import load_pretrained

        return load_pretrained(source, revision)

    def push_to_hub(self, repo_id: str, private: bool = False, token: str | None = None) -> str:
        """Upload it as a model folder to the Hugging Face hub; see `push_folder`."""
        from otoscope.classifiers.folder import push_folder

        return push_folder(self, repo_id, private, token)


def _nearest(table: Mapping[str, T], layer: str) -> T | None:
    """The entry of a layer, else that of the nearest layer around it."""
    parts = layer.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((table[name] for name in names if name in table), None)


def _checked_places(places: Mapping[str, Place]) -> dict[str, Place]:
    for layer, place in places.items():
        numbers = np.array(place, float) if np.shape(place) == (2, 2) else np.full((2, 2), np.nan)
        if not (np.isfinite(numbers).all() and (numbers[:, 1] > 0).all()):
            raise ParameterError(
                f"the place of layer {layer!r} must be ((first, step), (first, step)) in feature bands and frames, with "
                f"steps above 0; got {place!r}"
            )
    return dict(places)


def _checked_axes(axes: Mapping[str, str]) -> dict[str, str]:
    for layer, order in axes.items():
        if order not in AXES:
            raise ParameterError(
                f"the axes of layer {layer!r} must be one of {', '.join(map(repr, AXES))}; got {order!r}"
            )
    return dict(axes)


def wrap(
    module: nn.Module,
    *,
    sample_rate: int,
    labels: Sequence[str] | int | None = None,
    multilabel: bool = False,
    frontend: nn.Module | None = None,
    cam_layer: str | None = None,
    name: str | None = None,
) -> Classifier:
    """Any ``nn.Module`` that takes waveforms as a `Classifier`.

    Parameters
    ----------
    module : nn.Module
        Waveform ``(batch, time)`` -> logits ``(batch, class)``; with ``frontend``: features -> logits. It is not copied
        and not changed.
    sample_rate : int, Hz
        The rate at which it was trained.
    labels : sequence of str or int, optional
        Names of the classes, or how many there are; None counts them from the logits for one second of silence.
    multilabel : bool
        True for sigmoid outputs, False for softmax.
    frontend : nn.Module, optional
        As in `Classifier`; makes the ``features`` domain and Grad-CAM on two-dimensional maps possible.
    cam_layer : str, optional
        Default layer of CAM methods; else the last convolution.
    name : str, optional
        Name for messages and records; by default the class of the module.

    Returns
    -------
    Classifier

    Raises
    ------
    ParameterError
        If ``module`` is no ``nn.Module`` or the number of classes cannot be found out.

    Examples
    --------
    >>> import torch, otoscope
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> model(torch.zeros(3, 16000)).shape
    torch.Size([3, 2])
    """
    if not isinstance(module, nn.Module):
        raise ParameterError(f"wrap takes a torch nn.Module; got {type(module).__name__}")
    if isinstance(module, Classifier):
        return module
    if labels is None:
        labels = _count_classes(module, sample_rate, frontend)
    if isinstance(labels, int):
        labels = [f"class {i}" for i in range(labels)]
    if cam_layer is None:
        convolutions = [n for n, m in module.named_modules() if n and isinstance(m, nn.Conv1d | nn.Conv2d)]
        cam_layer = convolutions[-1] if convolutions else None
    return Classifier(
        module,
        sample_rate=sample_rate,
        labels=list(labels),
        multilabel=multilabel,
        frontend=frontend,
        name=name or type(module).__name__,
        cam_layer=cam_layer,
    )


def _count_classes(module: nn.Module, sample_rate: int, frontend: nn.Module | None) -> int:
    from otoscope.surgery import preserve_state

    try:
        with preserve_state(module), torch.no_grad():
            silence = torch.zeros(1, int(sample_rate))
            out = module(silence if frontend is None else frontend(silence))
        return int(out.shape[-1])
    except Exception as error:
        raise ParameterError(
            f"could not count the classes of {type(module).__name__} from its output ({type(error).__name__}: {error}); "
            "pass labels= (names or a number)"
        ) from error

"""What every classifier is: waveform ``(batch, time)`` at its own rate -> logits ``(batch, class)``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.audio.windows import fit_length
from otoscope.classifiers.layer_axes import AXES, find_axes
from otoscope.classifiers.outputs import Readout
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError, UnsupportedError
from otoscope.core.records import Target
from otoscope.surgery import HEADS, layers_with_heads, preserve_state, record_layer
from otoscope.surgery.digest import flat_state, state_digest
from otoscope.surgery.guard import set_mode

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
        Dotted name, inside ``network``, of the layer that CAM methods use by default.
    axes : mapping of str to str, optional
        Dotted layer name, inside ``network``, -> the axes of its output after the batch, such as ``"channel freq frame"`` or
        ``"frame channel"``, in any order; it holds for the layers inside it too. Those of other layers are found by probing.
    places : mapping of str to ((float, float), (float, float)), optional
        Dotted layer name, inside ``network``, -> where the cells of its map lie: the centre of the first cell and the
        distance from cell to cell, in feature bands and then in feature frames (samples, without a front end), counted
        from 0. As ``axes``, it holds for the layers inside. Maps of other layers are taken to tile the features evenly.
    head : tuple of str
        Prefixes of the network's parameters whose shape depends on the number of classes.
    readout : Readout, optional
        How the network's return value becomes logits; by default it is the logits.
    min_s, window_s : float, s, optional
        Shorter sounds are padded with silence; longer ones are heard in windows. Equal for a network of one fixed length.
    overlap_s : float, s, optional
        Overlap of the windows; by default a fifth of their length, at most 2 s.
    one_by_one : bool
        Give the network one sound in each pass, for networks whose answers depend on the others of a batch.
    doubts : sequence of str
        Reasons, in whole sentences, to doubt any answer of this classifier; they stand in every record and verdict.
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
        readout: Readout | None = None,
        min_s: float | None = None,
        window_s: float | None = None,
        overlap_s: float | None = None,
        one_by_one: bool = False,
        doubts: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__()
        sample_rate = checked_rate(sample_rate)
        if not labels:
            raise ParameterError("a classifier needs at least one label")
        self.network, self.frontend = network, frontend
        self.sample_rate, self.labels, self.multilabel = sample_rate, tuple(map(str, labels)), bool(multilabel)
        self.name, self.cam_layer, self.info = name, cam_layer, dict(info or {})
        self.axes, self.places, self.head = _checked_axes(axes or {}), _checked_places(places or {}), tuple(head)
        self.readout = Readout(multilabel=self.multilabel) if readout is None else readout
        self.min_s, self.window_s, self.overlap_s = _checked_lengths(min_s, window_s, overlap_s)
        self.one_by_one, self.doubts = one_by_one, tuple(doubts)
        self.config = dict(config) if config is not None else None
        self._digest: tuple[Any, str] | None = None
        self._differentiable: bool | None = None
        self.origin: dict[str, Any] | None = None  # how `load_classifier` made it, for records

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples; shorter ones are padded with silence."""
        own = round((self.min_s or 0) * self.sample_rate)
        return max(own, int(getattr(self.frontend, "minimum_length", 1)) if self.frontend is not None else 1)

    @property
    def maximum_length(self) -> int | None:
        """Longest waveform in samples, or None without a limit; longer sounds are heard in windows."""
        own = None if self.window_s is None else round(self.window_s * self.sample_rate)
        known = [n for n in (own, getattr(self.frontend, "maximum_length", None)) if n is not None]
        return min(known) if known else None

    @property
    def dtype(self) -> torch.dtype:
        """The floating type in which the network computes; what it takes is cast to it, and its logits to float32."""
        numbers = (t.dtype for t in itertools.chain(self.network.parameters(), self.network.buffers()))
        return next((d for d in numbers if d.is_floating_point), torch.float32)

    @property
    def compiled(self) -> str:
        """How the network, or a part of it, was compiled: ``TorchScript``, ``torch.export`` or ``torch.compile``; else empty."""
        for module in self.network.modules():
            if isinstance(module, torch.jit.ScriptModule):
                return "TorchScript"
            if hasattr(module, "_orig_mod"):
                return "torch.compile"
            if type(module).__module__.startswith("torch.export") or hasattr(module, "_guards_code"):
                return "torch.export"
        return ""

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        first = next(itertools.chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from the logits to the waveform; found out by a pass, once."""
        if self._differentiable is None:
            frames = self.fitting_length(self.sample_rate)
            with preserve_state(self), torch.random.fork_rng(devices=[]), torch.enable_grad():
                noise = 0.1 * torch.randn(1, frames, generator=torch.Generator().manual_seed(0))
                try:
                    given = noise.to(self.device).requires_grad_()
                    self._differentiable = bool(torch.autograd.grad(self(given).sum(), given)[0].isfinite().all())
                except (RuntimeError, TypeError):  # it uses NumPy, or operations without a derivative
                    self._differentiable = False
        return self._differentiable

    def train(self, mode: bool = True) -> Classifier:
        """As of every module; parts that have no modes (programs of torch.export, frozen TorchScript) stay as they are."""
        set_mode(self, mode, super().train)
        return self

    def fitting_length(self, frames: int) -> int:
        """The length in samples that the network takes and that is nearest to the one that is wanted."""
        frames = max(frames, self.minimum_length)
        return frames if self.maximum_length is None else min(frames, self.maximum_length)

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
        return self.logits(self.given(waveform))

    def given(self, waveform: Tensor) -> Tensor:
        """What the network takes of waveforms ``(batch, time)``: features, or the padded waveforms without a front end."""
        return self.pad(waveform) if self.frontend is None else self.features(waveform)

    def logits(self, given: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of what the network takes."""
        return self._read(given, self.readout)

    def frame_logits(self, waveform: Tensor) -> Tensor:
        """Logits ``(batch, frame, class)`` of waveforms ``(batch, time)``; of a network that scores clips, one frame."""
        return self._read(self.given(waveform), self.readout.frames)

    def _read(self, given: Tensor, readout: Callable[[Any, int, int, str], Tensor]) -> Tensor:
        """What a readout makes of the network's output, one sound at a time where that is needed."""
        parts = given.split(1) if self.one_by_one else [given]
        return torch.cat([readout(self.network(x.to(self.dtype)), len(x), len(self.labels), self.name) for x in parts])

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
        state = sorted(flat_state(self.network.state_dict()).items())
        settings = tuple(self.state_settings().items())
        countable = not any(v.is_inference() for _, v in state)
        mark = (settings, *((k, v.data_ptr(), v._version) for k, v in state)) if countable else None
        if mark is None or self._digest is None or self._digest[0] != mark:
            self._digest = (mark, state_digest(dict(state), settings))
        return self._digest[1]

    def state_settings(self) -> dict[str, Any]:
        """The architecture's settings that can change after it was built, as they are now; most networks have none."""
        find = getattr(self.network, "state_settings", None)
        return dict(find()) if find is not None else {}

    def layers(self) -> dict[str, str | None]:
        """Dotted names of the network's layers, each with the axes of its output after the batch where they are known."""
        names = [name for name, _ in self.network.named_modules() if name] + layers_with_heads(self.network)
        return {name: self.axes_of(name) for name in names}

    def axes_of(self, layer: str) -> str | None:
        """The axes of a layer's output after the batch: its own, else those of the nearest layer around it."""
        return _nearest(self.axes, layer)

    def find_axes(self, layer: str) -> str:
        """The axes of a layer's output after the batch, found out by probing, and kept.

        Raises
        ------
        UnsupportedError
            If its output follows neither the time nor the pitch of a sound.
        """

        def output(waveform: Tensor) -> Tensor:
            with record_layer(self.network, layer) as outputs:
                self(waveform.to(self.device))
            if not outputs:
                raise UnsupportedError(f"layer {layer!r} is not used in a forward pass; choose another layer")
            return outputs[0]

        with preserve_state(self), torch.random.fork_rng(devices=[]), torch.no_grad():
            found = find_axes(output, self.fitting_length(self.sample_rate), self.sample_rate)
        if found is None:
            raise UnsupportedError(
                f"the time axis of layer {layer!r} is unknown: its output does not follow a sound that comes later or "
                f"sounds higher; declare it, axes={{{layer!r}: 'channel freq frame'}} in otoscope.wrap, or choose another layer"
            )
        self.axes[layer] = found
        return found

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
        if output.ndim not in (3, 4):
            raise UnsupportedError(
                f"layer {layer!r} gives shape {tuple(output.shape)}, which is not a map (batch, channel, freq, frame) or "
                "(batch, channel, frame); choose another layer"
            )
        axes = self.axes_of(layer) or self.find_axes(layer)
        if len(axes.split()) != output.ndim - 1:
            raise UnsupportedError(
                f"layer {layer!r} gives shape {tuple(output.shape)}, and its axes are declared to be (batch, "
                f"{', '.join(axes.split())}); choose another layer, or declare its axes"
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
    parts = layer.removesuffix(HEADS).split(".")
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


def checked_rate(sample_rate: Any) -> int:
    """The rate, or a `ParameterError` unless it is a whole number of Hz of at least 100."""
    if not (
        isinstance(sample_rate, int | float | np.integer | np.floating) and sample_rate >= 100 and sample_rate % 1 == 0
    ):
        raise ParameterError(f"sample_rate must be a whole number of Hz of at least 100; got {sample_rate!r}")
    return int(sample_rate)


def _checked_lengths(
    min_s: float | None, window_s: float | None, overlap_s: float | None
) -> tuple[float | None, float | None, float | None]:
    """The lengths, if they are positive and fit together."""
    for name, value in (("min_s", min_s), ("window_s", window_s)):
        if value is not None and not (isinstance(value, int | float) and 0 < value <= 3600):
            raise ParameterError(f"{name} must be a number of seconds above 0, up to 3600; got {value!r}")
    if min_s is not None and window_s is not None and min_s > window_s:
        raise ParameterError(f"min_s must be at most window_s; got {min_s} and {window_s}")
    if overlap_s is not None and (window_s is None or not 0 <= overlap_s < window_s):
        raise ParameterError(f"overlap_s must be at least 0 and below window_s; got {overlap_s!r} and {window_s!r}")
    return min_s, window_s, overlap_s


def _checked_axes(axes: Mapping[str, str]) -> dict[str, str]:
    for layer, order in axes.items():
        if order not in AXES:
            raise ParameterError(
                f"the axes of layer {layer!r} must be one of {', '.join(map(repr, AXES))}; got {order!r}"
            )
    return dict(axes)

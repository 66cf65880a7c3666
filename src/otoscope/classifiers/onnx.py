"""ONNX files as classifiers, run by onnxruntime; with gradients where ``onnx2torch`` converts the file and gives the same."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from otoscope.classifiers.function import Answers
from otoscope.classifiers.labels import labels_of_text
from otoscope.classifiers.outputs import output_name
from otoscope.classifiers.probe import probe_sounds
from otoscope.classifiers.streaming import RATES, check_chunks, chunks, frames_of
from otoscope.core.errors import ParameterError, UnsupportedError, WeightsError
from otoscope.core.runtime import require

log = logging.getLogger("otoscope")
TYPES = {"float16": np.float16, "double": np.float64, "int64": np.int64, "int32": np.int32}
AGREES = 1e-3  # of the largest score: how far a converted network may differ


@dataclass(frozen=True)
class State:
    """What a file keeps from one chunk to the next: an input, the output that becomes it, its shape and its type."""

    given: str
    found: str
    shape: tuple[int | str | None, ...]
    dtype: Any

    def cleared(self, batch: int) -> np.ndarray:
        """As it is before the first chunk."""
        return np.zeros([n if isinstance(n, int) else batch for n in self.shape], self.dtype)


class OnnxFunction:
    """An ONNX file as a function of waveforms.

    Parameters
    ----------
    path : Path
        The file. Its first input is a waveform ``(batch, time)``, ``(batch, 1, time)`` or ``(time,)``. A further number that is
        named ``sr`` or ``sample_rate`` is the rate; further arrays are states, each with an output that replaces it.
    sample_rate : int, Hz, optional
        For files that take it as an input; by default that of the file's metadata.
    output : str or int, optional
        Which output holds the scores; by default the first.
    chunk, context : int, samples, optional
        For files that take a sound in chunks, as in `otoscope.wrap`.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    UnsupportedError
        If it takes something else.
    ParameterError
        If it keeps a state and the length of a chunk is not given.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int | None = None,
        output: str | int | None = None,
        chunk: int | None = None,
        context: int = 0,
    ):
        runtime = require("onnxruntime", "onnx", "ONNX files")
        try:
            content = path.read_bytes()
            options = runtime.SessionOptions()
            options.log_severity_level = 3
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(
                f"{path} cannot be read as an ONNX model: {' '.join(str(error).split())[:200]}"
            ) from error
        self.__name__ = path.stem
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.properties = dict(self.session.get_modelmeta().custom_metadata_map)
        self.rate = sample_rate or _stated_rate(self.properties)
        if not self.session.get_inputs():
            raise UnsupportedError(f"{path} has no inputs; expected one that takes a waveform (batch, time)")
        self.given, *others = self.session.get_inputs()
        shape = self.given.shape
        self.outputs = [one.name for one in self.session.get_outputs()]
        self.output = output_name(self.outputs, output, path)
        rates = [one for one in others if one.name.casefold() in RATES and one.shape in ([], [1])]
        states = [one for one in others if one not in rates]
        self.states = _states(states, [name for name in self.outputs if name != self.output], next(iter(shape), None))
        waveform = len(shape) in (1, 2) or (len(shape) == 3 and shape[1] == 1)
        if not (waveform and "float" in self.given.type and self.states is not None and len(rates) < 2):
            inputs = ", ".join(f"{one.name} {one.shape}" for one in (self.given, *others))
            raise UnsupportedError(
                f"{path} does not take one waveform (batch, time), but {inputs}; run it in a function of waveforms and wrap that: "
                "otoscope.wrap_function"
            )
        if rates and self.rate is None:
            raise ParameterError(f"{path} takes its sample rate as an input and does not state it; pass sample_rate")
        self.dtype = _dtype(self.given)
        self.settings = {one.name: np.array(self.rate, _dtype(one)).reshape(one.shape) for one in rates}
        self.samples = shape[-1] if isinstance(shape[-1], int) else None
        fixed = any(all(isinstance(n, int) for n in state.shape) for state in self.states or ())
        self.batch = 1 if len(shape) == 1 or fixed else shape[0] if isinstance(shape[0], int) else None
        self._set_chunks(path, chunk, context)

    def _set_chunks(self, path: Path, chunk: int | None, context: int) -> None:
        """How many samples it takes at a time, if it does not take whole sounds."""
        context = check_chunks(1, context)[1]
        if self.states and chunk is None:
            if self.samples is None:
                names = ", ".join(state.given for state in self.states)
                raise ParameterError(
                    f"{path} keeps a state ({names}) from one chunk to the next; pass the number of samples per chunk "
                    "(--option chunk=512) and, if it also takes samples from before the chunk, their number (--option context=64)"
                )
            if context >= self.samples:
                raise ParameterError(
                    f"context must be below the {self.samples} samples that {path} takes; got {context}"
                )
            chunk = self.samples - context
            if not context:
                log.warning(
                    "%s takes %d samples at a time; pass context= if some of them are from before the chunk",
                    path,
                    chunk,
                )
        self.chunk, self.context = check_chunks(chunk, context)
        if chunk is not None:
            self.samples = None

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name; of a file that takes chunks, with a frame axis after the batch."""
        states = {state.given: state.cleared(len(waveforms)) for state in self.states or ()}
        given = waveforms.astype(self.dtype)
        if self.chunk is None:
            return self._run(given, states)
        parts = chunks(torch.from_numpy(given), self.chunk, self.context).numpy()
        found = [self._run(parts[:, i], states) for i in range(parts.shape[1])]
        scores = [frames_of(torch.from_numpy(np.atleast_1d(one[self.output])), len(waveforms)) for one in found]
        return {self.output: torch.cat(scores, 1).numpy()}

    def _run(self, given: np.ndarray, states: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name for whole sounds or one chunk; states are replaced."""
        given = given[0] if len(self.given.shape) == 1 else given[:, None] if len(self.given.shape) == 3 else given
        found = self.session.run(None, {self.given.name: np.ascontiguousarray(given), **self.settings, **states})
        outputs = dict(zip(self.outputs, found, strict=True))
        states.update({state.given: outputs[state.found] for state in self.states or ()})
        return outputs


def _dtype(one: Any) -> Any:
    """The NumPy type of an input."""
    return TYPES.get(one.type.removeprefix("tensor(").removesuffix(")"), np.float32)


def _stated_rate(properties: dict[str, str]) -> int | None:
    """The sample rate of a file's metadata."""
    try:
        return round(float(properties["sample_rate"]))
    except (KeyError, ValueError, OverflowError):
        return None


def _states(given: list[Any], outputs: list[str], batch: Any) -> list[State] | None:
    """Each state with the output that replaces it: by its name, else in order; None if there is not one each.

    One axis of a state can be free: that of the batch, with the waveform's name for it if it has one.
    """
    for one in given:
        free = [n for n in one.shape if not isinstance(n, int)]
        numbers = "float" in one.type or "double" in one.type
        if not numbers or len(one.shape) < 2 or len(free) > 1 or (isinstance(batch, str) and free not in ([], [batch])):
            return None
    named = [[name for name in outputs if name.casefold().startswith(one.name.casefold())] for one in given]
    if all(len(names) == 1 for names in named):
        found = [names[0] for names in named]
    elif len(outputs) == len(given):
        found = outputs
    else:
        return None
    return [State(one.name, name, tuple(one.shape), _dtype(one)) for one, name in zip(given, found, strict=True)]


def onnx_module(
    path: Path,
    name: str,
    output: str | int | None,
    sample_rate: int | None = None,
    chunk: int | None = None,
    context: int = 0,
) -> tuple[nn.Module, dict[str, Any]]:
    """An ONNX file as a module, and what `wrap` should know about it.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        For messages.
    output : str or int, optional
        Which output holds the scores; by default the first.
    sample_rate : int, Hz, optional
        See `OnnxFunction`; also the rate of the sounds on which a converted network is compared.
    chunk, context : int, samples, optional
        See `OnnxFunction`.
    """
    function = OnnxFunction(path, sample_rate, output, chunk, context)
    identity = {
        "sha256": function.sha256, "output": function.output, "chunk": function.chunk, "context": function.context,
        **({"sample_rate": function.rate} if function.settings else {}),
    }  # fmt: skip
    module = Answers(function, name, output=function.output, batch=function.batch, identity=identity)
    facts = {
        "samples": function.samples,
        "labels": labels_of_text(function.properties),
        **{k: v for k, v in function.properties.items() if k == "sample_rate"},
    }
    if function.chunk is not None or function.settings:
        return module, {**facts, "chunk": function.chunk}
    number = function.outputs.index(function.output)
    return _converted(path, module, number, function, function.rate or 16000) or module, facts


def _converted(path: Path, module: Answers, output: int, function: OnnxFunction, sample_rate: int) -> nn.Module | None:
    """The network in torch, if onnx2torch is installed, can convert it, and it gives the same scores."""
    try:
        from onnx2torch import convert

        network = _Chosen(convert(str(path)).eval(), output, len(function.given.shape))
        sounds = probe_sounds(function.samples or sample_rate, sample_rate)[1:4:2]
        parts = [sounds[i : i + 1] for i in range(len(sounds))]
        with torch.no_grad():
            pairs = [(network(x).reshape(-1), module(x).reshape(-1)) for x in parts]
    except Exception as error:  # noqa: BLE001 - whatever it is, the file still runs in onnxruntime
        log.info("%s gives no gradients: it is run by onnxruntime (%s)", path, error)
        return None
    if all(a.shape == b.shape and (a - b).abs().max() <= AGREES * b.abs().max().clamp_min(1e-3) for a, b in pairs):
        return network
    log.warning(
        "%s: the network that onnx2torch makes gives different scores, so the file is run by onnxruntime, without gradients",
        path,
    )
    return None


class _Chosen(nn.Module):
    """A converted network with one of its outputs."""

    def __init__(self, network: nn.Module, output: int, axes: int):
        super().__init__()
        self.network, self.output, self.axes = network, output, axes

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        given = waveform[0] if self.axes == 1 else waveform[:, None] if self.axes == 3 else waveform
        found = self.network(given)
        chosen: torch.Tensor = found[self.output] if isinstance(found, list | tuple) else found
        return chosen

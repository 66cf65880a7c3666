"""ONNX files as classifiers, run by onnxruntime; with gradients where ``onnx2torch`` converts the file and gives the same."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from otoscope.classifiers.function import Answers
from otoscope.classifiers.probe import probe_sounds
from otoscope.core.errors import UnsupportedError, WeightsError
from otoscope.core.runtime import require

log = logging.getLogger("otoscope")
AGREES = 1e-3  # of the largest score: how far a converted network may differ


class OnnxFunction:
    """An ONNX file as a function of waveforms.

    Parameters
    ----------
    path : Path
        The file. It must have one input, a waveform ``(batch, time)``, ``(batch, 1, time)`` or ``(time,)``.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    UnsupportedError
        If it takes something else.
    """

    def __init__(self, path: Path):
        runtime = require("onnxruntime", "onnx", "ONNX files")
        try:
            content = path.read_bytes()
            options = runtime.SessionOptions()
            options.log_severity_level = 3
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(
                f"{path} is no ONNX model that can be read: {' '.join(str(error).split())[:200]}"
            ) from error
        self.__name__ = path.stem
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.properties = dict(self.session.get_modelmeta().custom_metadata_map)
        self.given, *others = self.session.get_inputs()
        shape = self.given.shape
        if (
            others
            or len(shape) not in (1, 2, 3)
            or (len(shape) == 3 and shape[1] != 1)
            or "float" not in self.given.type
        ):
            inputs = ", ".join(f"{one.name} {one.shape}" for one in (self.given, *others))
            raise UnsupportedError(
                f"{path} does not take one waveform (batch, time), but {inputs}; run it in a function of waveforms and wrap that: "
                "otoscope.wrap_function"
            )
        self.dtype = (
            np.float16 if "float16" in self.given.type else np.float64 if "double" in self.given.type else np.float32
        )
        self.samples = shape[-1] if isinstance(shape[-1], int) else None
        self.batch = 1 if len(shape) == 1 else shape[0] if isinstance(shape[0], int) else None

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name."""
        given = waveforms.astype(self.dtype)
        given = given[0] if len(self.given.shape) == 1 else given[:, None] if len(self.given.shape) == 3 else given
        found = self.session.run(None, {self.given.name: given})
        return dict(zip((one.name for one in self.session.get_outputs()), found, strict=True))


def onnx_module(path: Path, name: str, output: str | int | None, sample_rate: int) -> tuple[nn.Module, dict[str, Any]]:
    """An ONNX file as a module, and what `wrap` should know of it.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        For messages.
    output : str or int, optional
        Which output holds the scores; by default the first.
    sample_rate : int, Hz
        Of the sounds on which a converted network is compared.
    """
    function = OnnxFunction(path)
    names = [one.name for one in function.session.get_outputs()]
    output = names[output] if isinstance(output, int) and -len(names) <= output < len(names) else output
    identity = {"sha256": function.sha256}
    module = Answers(function, name, output=output or names[0], batch=function.batch, identity=identity)
    facts = {
        "samples": function.samples,
        **{k: v for k, v in function.properties.items() if k == "sample_rate"},
    }
    converted = _converted(path, module, names.index(output) if output in names else 0, function, sample_rate)
    return converted or module, facts


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
        "%s: the network that onnx2torch makes gives other scores, so it is run by onnxruntime, without gradients", path
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

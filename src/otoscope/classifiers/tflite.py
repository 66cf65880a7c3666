"""TensorFlow Lite files as classifiers, run by ``ai-edge-litert``: waveform in, scores out, no gradients."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otoscope.classifiers.function import Answers
from otoscope.classifiers.labels import labels_of_text
from otoscope.classifiers.outputs import output_name
from otoscope.core.errors import UnsupportedError, WeightsError
from otoscope.core.runtime import require

LABEL_BYTES = 1 << 24


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing is written to standard error, not even by C++ (the runtime prints a greeting)."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class TFLiteFunction:
    """A TFLite file as a function of waveforms.

    Parameters
    ----------
    path : Path
        The file. Its one input must be a waveform, ``(batch, time)`` or ``(time,)``, of a fixed or a free length.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    UnsupportedError
        If it does not take a waveform.
    """

    def __init__(self, path: Path):
        litert = require("ai_edge_litert.interpreter", "tflite", "TFLite files", package="ai-edge-litert")
        try:
            content = path.read_bytes()
            with _silence():
                self.interpreter = litert.Interpreter(model_content=content, num_threads=torch.get_num_threads())
                self.interpreter.allocate_tensors()
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path} cannot be read as a TFLite model: {' '.join(str(error).split())[:200]}"
            ) from error
        self.__name__ = path.stem
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.given, *others = self.interpreter.get_input_details()
        self.outputs = [one["name"] for one in self.interpreter.get_output_details()]
        shape = [int(n) for n in self.given["shape_signature"]]
        lengths = [n for n in shape if n not in (1, -1)]
        if others or self.given["dtype"] != np.float32 or len(lengths) > 1 or (not lengths and shape[-1:] != [-1]):
            raise UnsupportedError(
                f"{path} does not take one waveform (batch, time) in float32, but {[1 + len(others), shape]}; wrap what computes "
                "its input and runs it with otoscope.wrap_function"
            )
        self.samples = lengths[0] if lengths else None

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for waveforms ``(batch, time)``, which are run one after another."""
        found = [self._one(waveform) for waveform in waveforms]
        return {name: np.concatenate([one[i] for one in found]) for i, name in enumerate(self.outputs)}

    def _one(self, waveform: np.ndarray) -> list[np.ndarray]:
        run = self.interpreter
        shape = [1] * (len(self.given["shape"]) - 1) + [len(waveform)]
        if run.get_input_details()[0]["shape"].tolist() != shape and self.samples is None:
            run.resize_tensor_input(self.given["index"], shape)
            run.allocate_tensors()
        run.set_tensor(self.given["index"], np.ascontiguousarray(waveform).reshape(run.get_input_details()[0]["shape"]))
        run.invoke()
        found = [_numbers(run.get_tensor(one["index"]), one["quantization"]) for one in run.get_output_details()]
        return [scores if scores.shape[:1] == (1,) and scores.ndim > 1 else scores[None] for scores in found]


def _numbers(values: np.ndarray, quantisation: tuple[float, int]) -> np.ndarray:
    """Scores as numbers; integers of a quantised output have a scale and a zero point."""
    scale, zero = quantisation
    return (values.astype(np.float32) - zero) * scale if values.dtype.kind in "iu" and scale else values


def tflite_module(path: Path, name: str, output: str | int | None = None) -> tuple[Answers, dict[str, Any]]:
    """A TFLite file as a module, and what `wrap` should know about it.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        For messages.
    output : str or int, optional
        Which output holds the scores; by default the first.
    """
    function = TFLiteFunction(path)
    chosen = output_name(function.outputs, output, path)
    identity = {"sha256": function.sha256, **({} if output is None else {"output": chosen})}
    return Answers(function, name, output=chosen, identity=identity), {
        "samples": function.samples,
        "labels": _packed_labels(path),
    }


def _packed_labels(path: Path) -> list[str] | None:
    """Names of classes that are packed into the file, as the metadata of TFLite has them: a text file in a ZIP at its end."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = [one for one in packed.infolist() if "label" in one.filename.casefold()]
            names = [one for one in names if one.filename.endswith(".txt") and one.file_size <= LABEL_BYTES]
            text = packed.read(names[0]).decode("utf-8", "replace") if len(names) == 1 else ""
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError):
        return None  # nothing is packed, or it is damaged, encrypted or compressed in an unknown way
    return labels_of_text({"labels": text})

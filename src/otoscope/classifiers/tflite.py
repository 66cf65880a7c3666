"""TensorFlow Lite files as classifiers, run by ``ai-edge-litert``: waveform in, scores out, no gradients."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otoscope.classifiers.function import Answers
from otoscope.core.errors import UnsupportedError, WeightsError
from otoscope.core.runtime import require


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing is written to standard error, not even by C++ (the runtime greets there)."""
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
        The file. Its first input must be a waveform, ``(batch, time)`` or ``(time,)``.

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
                f"{path} is no TFLite model that can be read: {' '.join(str(error).split())[:200]}"
            ) from error
        self.__name__ = path.stem
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.given, *others = self.interpreter.get_input_details()
        shape = [int(n) for n in self.given["shape_signature"]]
        if others or self.given["dtype"] != np.float32 or len([n for n in shape if n not in (1, -1)]) != 1:
            raise UnsupportedError(
                f"{path} does not take one waveform (batch, time) in float32, but {[1 + len(others), shape]}; wrap what computes "
                "its input and runs it with otoscope.wrap_function"
            )
        self.samples = max(shape)

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """Scores of waveforms ``(batch, time)``, one after another."""
        return np.concatenate([self._one(waveform) for waveform in waveforms])

    def _one(self, waveform: np.ndarray) -> np.ndarray:
        run = self.interpreter
        run.set_tensor(self.given["index"], np.ascontiguousarray(waveform).reshape(self.given["shape"]))
        run.invoke()
        scores: np.ndarray = run.get_tensor(run.get_output_details()[0]["index"])
        return scores.reshape(1, -1)


def tflite_module(path: Path, name: str) -> tuple[Answers, dict[str, Any]]:
    """A TFLite file as a module, and what `wrap` should know of it."""
    function = TFLiteFunction(path)
    return Answers(function, name, identity={"sha256": function.sha256}), {"samples": function.samples}

"""Models in a file: TorchScript, programs of ``torch.export``, ONNX, TensorFlow Lite."""

from __future__ import annotations

import contextlib
import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from otoscope.classifiers.base import Classifier, checked_rate
from otoscope.classifiers.labels import yes_or_no
from otoscope.classifiers.streaming import POOL_CHUNKS
from otoscope.classifiers.wrap import wrap
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError

log = logging.getLogger("otoscope")
ENDINGS = (".pt", ".pth", ".ts", ".jit", ".torchscript", ".pt2", ".onnx", ".tflite", ".ckpt")
OPTIONS = (
    "sample_rate",
    "multilabel",
    "outputs",
    "output",
    "pool",
    "cam_layer",
    "min_s",
    "window_s",
    "overlap_s",
    "chunk",
    "context",
    "name",
)


def load_file(
    path: Path, labels: int | Sequence[str] | None = None, options: Mapping[str, Any] | None = None
) -> Classifier:
    """A classifier from a file that holds a whole model.

    Parameters
    ----------
    path : Path
        TorchScript (``.pt``, ``.ts``, ...), a program of ``torch.export`` (``.pt2``), ONNX or TensorFlow Lite.
    labels : int or sequence of str, optional
        Names of the classes.
    options : mapping, optional
        Of `wrap`; ``sample_rate`` is needed unless the file states it.

    Raises
    ------
    WeightsError
        If the file is damaged, or holds weights alone.
    ParameterError, UnknownNameError
        If the rate is unknown, or an option does not exist.
    """
    settings = dict(options or {})
    for key in settings:
        if key not in OPTIONS:
            raise UnknownNameError("option of a model file", key, OPTIONS)
    settings.setdefault("name", path.stem)
    kind = path.suffix.casefold()
    given = None if settings.get("sample_rate") is None else _rate_of(settings["sample_rate"])
    if kind in (".onnx", ".tflite"):
        module, facts = _runtime_module(path, kind, settings, given)
    else:
        module, facts = _torch_module(path, kind), {}
    stated = facts.get("sample_rate") or getattr(module, "sample_rate", None)
    if given is None and stated is None:
        raise ParameterError(
            f"{path} does not state its sample rate; pass it: --option sample_rate=HZ, or in Python "
            "otoscope.load_classifier(..., options={'sample_rate': HZ})"
        )
    settings["sample_rate"] = rate = _rate_of(stated) if given is None else given
    samples = facts.get("samples")
    if samples is not None and not settings.get("chunk"):
        settings = {"window_s": samples / rate, "min_s": samples / rate, **settings}
    if labels is not None or facts.get("labels") is None:
        return wrap(module, labels=labels, **settings)
    return _labelled(wrap(module, **settings), facts["labels"], path)


def _rate_of(rate: Any) -> int:
    """A rate in Hz, from a number or, as in a file's metadata, from a text."""
    with contextlib.suppress(TypeError, ValueError):
        rate = float(rate)
    return checked_rate(rate)


def _labelled(classifier: Classifier, labels: list[str], path: Path) -> Classifier:
    """The classifier with the labels that its file holds, if there are as many as classes."""
    binary = classifier.readout.binary
    names = yes_or_no(labels[0]) if binary and len(labels) == 1 else labels
    if len(names) != len(classifier.labels):
        log.warning(
            "%s holds %d labels, but gives scores of %d classes; they are left out: pass labels", path, len(labels),
            1 if binary else len(classifier.labels),
        )  # fmt: skip
        return classifier
    classifier.labels = tuple(names)
    return classifier


def _runtime_module(
    path: Path, kind: str, settings: dict[str, Any], sample_rate: int | None
) -> tuple[nn.Module, dict[str, Any]]:
    """A module that another runtime runs, and what is known about it."""
    if kind == ".tflite":
        from otoscope.classifiers.tflite import tflite_module

        return tflite_module(path, settings["name"], settings.pop("output", None))
    from otoscope.classifiers.onnx import onnx_module

    streaming = {key: settings.pop(key) for key in ("chunk", "context") if key in settings}
    module, facts = onnx_module(path, settings["name"], settings.pop("output", None), sample_rate, **streaming)
    if facts.get("chunk") and not settings.get("pool"):
        raise ParameterError(f"{path} scores chunks of {facts['chunk']} samples; {POOL_CHUNKS}")
    return module, facts


def _torch_module(path: Path, kind: str) -> nn.Module:
    """TorchScript or an exported program. TorchScript runs no Python code on loading; torch may unpickle parts of a ``.pt2``."""
    try:
        if kind == ".pt2":
            program: nn.Module = torch.export.load(path).module()
            return program
        if kind != ".ckpt":
            return torch.jit.load(path, map_location="cpu").eval()
    except OtoscopeError:
        raise
    except Exception as error:
        if _holds_weights(path):
            raise _weights_alone(path) from error
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{path} is not a TorchScript module or exported program ({type(error).__name__}: {reason})"
        ) from error
    raise _weights_alone(path)


def _holds_weights(path: Path) -> bool:
    try:
        return isinstance(torch.load(path, map_location="cpu", weights_only=True), dict)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return False


def _weights_alone(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} holds weights but not the network that they belong to; name it: --model ARCHITECTURE,setting=... "
        f"--weights {path.name} --labels ..., or return otoscope.wrap(network, ...) from a function: --model module:function"
    )

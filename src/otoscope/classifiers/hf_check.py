"""Compare a front end in torch with the processor that a Hugging Face model came with, on a test signal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import OtoscopeError, WeightsError

log = logging.getLogger("otoscope")
TOLERANCE = 1e-3  # of the largest value that the model's own processor leads to


class FrontEndMismatchError(OtoscopeError, ValueError):
    """A front end in torch that does not match the model's own processor."""


def trial_signal(sample_rate: int, seconds: float) -> np.ndarray:
    """Fading noise, a rising tone, an offset and digital silence: signals on which front ends differ."""
    n = max(1, round(seconds * sample_rate))
    t = np.arange(n) / sample_rate
    noise = np.random.default_rng(0).normal(0.0, 0.1, n) * np.exp(-4 * t / seconds)
    tone = 0.3 * np.sin(2 * np.pi * (100 + 0.1 * sample_rate * t / seconds) * t)
    return ((noise + tone + 0.02) * (t < 0.9 * seconds)).astype(np.float32)


def check_front_end(classifier: Classifier, extractor: Any, reference: Callable[[dict[str, Tensor]], Tensor]) -> None:
    """Compare the model's inputs and logits with those of its own processor; the differences go into ``info``.

    Parameters
    ----------
    classifier : Classifier
        The classifier.
    extractor : feature extractor of transformers
        The one that the model was published with.
    reference : callable
        The extractor's output as tensors -> logits ``(1, class)``.

    Raises
    ------
    FrontEndMismatchError
        If inputs or logits differ by more than ``TOLERANCE`` of their own largest value.
    """
    seconds = min(2.5, 0.6 * classifier.info.get("window_s", 10.0))
    signal = trial_signal(classifier.sample_rate, seconds)
    try:
        wanted = dict(extractor(signal, sampling_rate=classifier.sample_rate, return_tensors="pt"))
        waveform = torch.from_numpy(signal)[None]
        with torch.no_grad():
            features = waveform if classifier.frontend is None else classifier.features(waveform)
            given = classifier.network.prepare(features)  # type: ignore[operator]
            pairs = {"logits": (classifier(waveform), reference(wanted))}
    except OtoscopeError:
        raise
    except Exception as error:
        raise not_together(classifier.name, None, type(extractor).__name__, error) from error
    name = "input_features" if "input_features" in wanted else "input_values"
    pairs["inputs"] = (given[name], wanted[name])
    for what, (ours, theirs) in pairs.items():
        tolerance = TOLERANCE * max(0.1, float(theirs.abs().max()))
        same = ours.shape == theirs.shape
        difference = float((ours.double() - theirs.double()).abs().max()) if same else float("inf")
        if not difference <= tolerance:
            raise FrontEndMismatchError(
                f"{classifier.name}: the {what} differ by {difference:.3g} from those of the model's own "
                f"{type(extractor).__name__} on a test signal, more than the tolerance {tolerance:.3g}; the front end in "
                "torch does not know this processor's settings, so the model was refused"
            )
        if what == "logits":
            classifier.info |= {"frontend_difference": difference, "frontend_tolerance": tolerance}
        else:
            classifier.info["input_difference"] = difference
    log.info(
        "%s: logits differ by %.3g from those of the model's own processor (tolerance %.3g)",
        classifier.name,
        classifier.info["frontend_difference"],
        classifier.info["frontend_tolerance"],
    )


def not_together(name: object, config: Any, kind: str, error: Exception) -> WeightsError:
    """The error for a model and an extractor of which one cannot read the other's files or inputs."""
    model = "the model" if config is None else config.model_type
    return WeightsError(f"{name}: {model} and its {kind} do not go together ({reason_of(error)})")


def reason_of(error: Exception) -> str:
    """Type and message of a foreign error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

"""Try a classifier on synthetic sounds, and note what makes its answers doubtful."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.inspected import out_of_memory
from otoscope.classifiers.probe import (
    LONG_S,
    SHORT_S,
    UNSTEADY,
    UNSTEADY_HALF,
    Steadiness,
    heard_stretch,
    probe_sounds,
    quietly,
    steadiness,
)
from otoscope.core.errors import OtoscopeError

log = logging.getLogger("otoscope")


def examine(classifier: Classifier, frames: int | None = None, ends: bool = True) -> Classifier:
    """Try a classifier on synthetic sounds and note in it what makes its answers doubtful.

    It gets the same sounds twice, and in a batch; digital silence; and a long sound whose ends change. The findings are
    kept in ``info["checks"]`` and ``doubts`` and logged once. If only a stretch of a sound is heard, sounds are heard in windows
    of that length; a network whose answers depend on the rest of a batch is given one sound at a time.

    Parameters
    ----------
    classifier : Classifier
        Changed in place.
    frames : int, samples, optional
        A length that it takes; by default a second, or its own limits.
    ends : bool
        Whether a long sound is tried too; not needed if the stretch that is heard is known.
    """
    rate = classifier.sample_rate
    n = frames or classifier.fitting_length(rate)
    sounds = probe_sounds(n, rate).to(classifier.device)
    if not _takes_batches(classifier, sounds):
        classifier.one_by_one = True
    # cached answers would hide a change
    forgetful = getattr(classifier.network, "forgetful", contextlib.nullcontext)
    with quietly(classifier), forgetful():
        silence = _answer(classifier, sounds[-1:])
        steady = steadiness(lambda x: _probabilities(classifier, x), sounds[:4])
    checks: dict[str, Any] = {"repeated": steady.repeated, "batched": steady.batched}
    limit = UNSTEADY if classifier.dtype in (torch.float32, torch.float64) else UNSTEADY_HALF
    doubts = _doubts(classifier, steady, silence, limit)
    if ends and steady.repeated <= limit:
        checks |= _hear_all(classifier, doubts)
    classifier.info["checks"] = checks
    classifier.doubts = (*classifier.doubts, *doubts)
    for doubt in doubts:
        log.warning("%s", doubt)
    if classifier.cam_layer and classifier.axes_of(classifier.cam_layer) is None:
        with contextlib.suppress(OtoscopeError):  # a CAM method will report that they are unknown
            classifier.find_axes(classifier.cam_layer)
    return classifier


def _doubts(classifier: Classifier, steady: Steadiness, silence: Tensor | None, limit: float) -> list[str]:
    """What makes the answers doubtful, in whole sentences; a network that depends on the batch is given one sound at a time."""
    doubts = []
    if steady.repeated > limit:
        doubts.append(
            f"The classifier {classifier.name!r} answers the same sound differently each time, by up to {steady.repeated:.2g}: "
            "it draws random numbers or keeps a state between calls."
        )
    if steady.batched > limit:
        classifier.one_by_one = True
        doubts.append(
            f"The answers of {classifier.name!r} depend on the other sounds of a batch, by up to {steady.batched:.2g}; it is given "
            "one sound at a time."
        )
    if silence is None:
        doubts.append(f"The classifier {classifier.name!r} fails on digital silence, which removed sounds contain.")
    elif not torch.isfinite(silence).all():
        doubts.append(
            f"The classifier {classifier.name!r} gives NaN or infinite scores for digital silence: it takes a logarithm or a root "
            "of zero; add a small number inside, such as log(x + 1e-6)."
        )
    return doubts


def _answer(classifier: Classifier, sounds: Tensor) -> Tensor | None:
    """Logits, or None if the module fails on these sounds."""
    try:
        return classifier(sounds)
    except Exception as error:
        if out_of_memory(error):
            raise
        return None


def _takes_batches(classifier: Classifier, sounds: Tensor) -> bool:
    """Whether several sounds can be given at once; exported and traced modules may have a batch of one built in."""
    with quietly(classifier):
        return _answer(classifier, sounds[:2]) is not None or _answer(classifier, sounds[:1]) is None


def _hear_all(classifier: Classifier, doubts: list[str]) -> dict[str, float]:
    """Windows no longer than what the classifier hears of a sound, if it does not hear all of one."""
    rate = classifier.sample_rate
    frames = classifier.fitting_length(round(LONG_S * rate))

    def heard(n: int) -> tuple[int, int]:
        with quietly(classifier):
            # frames before pooling: the maximum would hide a change elsewhere
            return heard_stretch(lambda x: classifier.frame_logits(x.to(classifier.device)).cpu(), n, rate)

    start, stop = heard(frames)
    if stop == 0:
        doubts.append(f"The answer of {classifier.name!r} does not depend on the sound.")
        return {}
    if (start, stop) == (0, frames):
        return {}
    said = f"it hears {start / rate:.3g} s to {stop / rate:.3g} s of {frames / rate:g} s"
    fixed = classifier.window_s is not None and classifier.minimum_length >= frames
    if not fixed and stop - start >= SHORT_S * rate:
        # A crop to the start or to the middle hears all of a sound of that length; what is read at a fixed place does not.
        n = next((n for n in (stop - start, stop) if n >= classifier.minimum_length and heard(n) == (0, n)), stop)
        classifier.window_s = n / rate
        said += f"; longer sounds are heard in windows of {n / rate:.3g} s"
    log.warning("%s: %s", classifier.name, said)
    return {"heard_from_s": start / rate, "heard_to_s": stop / rate}


def _probabilities(classifier: Classifier, waveforms: Tensor) -> Tensor:
    logits = classifier(waveforms)
    return (logits.sigmoid() if classifier.multilabel else logits.softmax(-1)).float().cpu().nan_to_num()

"""`wrap`: any ``nn.Module`` that takes waveforms, or features, as a `Classifier`."""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.inspected import memory_errors, out_of_memory
from otoscope.classifiers.labels import label_names
from otoscope.classifiers.outputs import Kind, Pool, Readout
from otoscope.classifiers.probe import (
    LONG_S,
    SHORT_S,
    SUM,
    UNSTEADY,
    UNSTEADY_HALF,
    Lengths,
    Numbers,
    find_lengths,
    heard_stretch,
    kind_of,
    last_operation,
    probe_sounds,
    quietly,
    steadiness,
)
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError

log = logging.getLogger("otoscope")
MOST_HINTS = 24


def wrap(
    module: nn.Module,
    *,
    sample_rate: int,
    labels: int | Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str] | None = None,
    multilabel: bool | None = None,
    outputs: Kind | None = None,
    output: str | int | None = None,
    pool: Pool | None = None,
    frontend: nn.Module | None = None,
    cam_layer: str | None = None,
    axes: Mapping[str, str] | None = None,
    min_s: float | None = None,
    window_s: float | None = None,
    overlap_s: float | None = None,
    name: str | None = None,
    check: bool = True,
) -> Classifier:
    """Any ``nn.Module`` that takes waveforms as a `Classifier`.

    What is not said is found out with a few made-up sounds: the lengths that the module takes, whether it gives logits or
    probabilities, which stretch of a sound it hears, and whether its answers depend on chance or on the other sounds of a batch.

    Parameters
    ----------
    module : nn.Module
        Waveform ``(batch, time)`` -> scores ``(batch, class)``; with ``frontend``: features -> scores. It is not changed, and not
        copied unless it was made under ``torch.inference_mode``. One score a sound, ``(batch, 1)`` or ``(batch,)``, answers a
        yes-no question (sigmoid). Scores of frames, ``(batch, frame, class)``, need ``pool``.
    sample_rate : int, Hz
        The rate at which it was trained.
    labels : int, sequence of str, mapping or path, optional
        Names of the classes, how many there are, ``id2label`` or ``label2id``, or a file (see `read_labels`). For one score,
        the name of what it finds, or two names, that of its absence first. None counts them.
    multilabel : bool, optional
        True for independent classes (sigmoid), False for exclusive ones (softmax); by default exclusive, unless the module gives
        probabilities that do not sum to 1.
    outputs : {"logits", "probabilities", "log_probabilities"}, optional
        What the module's numbers are.
    output : str or int, optional
        Which entry of a returned dictionary, tuple or list holds the scores.
    pool : {"max", "mean"}, optional
        How scores of frames become one score a class.
    frontend : nn.Module, optional
        As in `Classifier`; makes the ``features`` domain and Grad-CAM on two-dimensional maps possible.
    cam_layer : str, optional
        Default layer of CAM methods; else the last convolution.
    axes : mapping of str to str, optional
        Dotted layer name -> the axes of its output after the batch, such as ``"frame channel"``; see `Classifier`.
    min_s, window_s, overlap_s : float, s, optional
        Shorter sounds are padded with silence; longer ones are heard in windows, which overlap.
    name : str, optional
        Name for messages and records; by default the class of the module.
    check : bool
        Whether the module is tried on made-up sounds; without, what is not said takes its default.

    Returns
    -------
    Classifier
        Its ``doubts`` say what makes its answers doubtful; ``info["checks"]`` holds what was measured.

    Raises
    ------
    ParameterError
        If ``module`` is no ``nn.Module``, it fails on every sound, or what is said of it is not so.

    Examples
    --------
    >>> import torch, otoscope
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> model(torch.zeros(3, 16000)).shape
    torch.Size([3, 2])
    >>> model.window_s
    1.0
    >>> otoscope.wrap(torch.nn.Linear(16000, 1), sample_rate=16000, labels=["call"]).labels
    ('not call', 'call')
    """
    if not isinstance(module, nn.Module):
        raise ParameterError(f"wrap takes a torch nn.Module; got {type(module).__name__}")
    if isinstance(module, Classifier):
        return module
    module = _differentiable(module)
    if isinstance(labels, list | tuple):
        labels = [str(label) if isinstance(label, int) else label for label in labels]
    named = None if labels is None else label_names(labels)
    said = Readout("logits" if outputs is None else outputs, output, pool, bool(multilabel))
    title = name or type(module).__name__
    trial = _Trial(module, frontend, sample_rate, title)
    with memory_errors(1):
        lengths = trial.lengths(min_s, window_s) if check or named is None else None
        if lengths is not None and output is None:
            said = replace(said, key=trial.entry(lengths.works, named))
        scores = None if lengths is None else trial.scores(said, lengths.works)
    alone = (
        named is not None and len(named) == 1 and not multilabel
    )  # nobody has seen the scores: a class and its absence
    binary = alone if scores is None else scores.values.shape[-1] == 1
    names = _names(title, named, scores, binary)
    numbers = _numbers(title, scores, outputs, multilabel)
    exclusive = binary or not numbers.multilabel
    min_s, window_s = _durations(sample_rate, lengths, min_s, window_s)
    classifier = Classifier(
        module,
        sample_rate=sample_rate,
        labels=names,
        multilabel=not exclusive,
        frontend=frontend,
        name=title,
        cam_layer=cam_layer or _last_convolution(module),
        axes=axes,
        readout=replace(said, outputs=numbers.outputs, multilabel=not exclusive, binary=binary),
        min_s=min_s,
        window_s=window_s,
        overlap_s=overlap_s,
    )
    if numbers.reason:
        classifier.info["outputs"] = f"taken for {numbers.outputs.replace('_', ' ')}: {numbers.reason}"
        log.warning("%s: outputs are %s; say outputs= if this is wrong", title, classifier.info["outputs"])
    if check and lengths is not None:
        examine(classifier, lengths.works)
    return classifier


@dataclass(frozen=True)
class _Scores:
    """What a module gave for the probe sounds: ``(sound, class)`` or more, and the operation that made it."""

    values: Tensor
    last: str


class _Trial:
    """A module under test; what it raises is told in its own words."""

    def __init__(self, module: nn.Module, frontend: nn.Module | None, sample_rate: int, name: str):
        self.classifier = Classifier(module, sample_rate=sample_rate, labels=["?"], frontend=frontend, name=name)

    def given(self, waveforms: Tensor) -> Tensor:
        """What the module takes."""
        one = self.classifier
        waveforms = waveforms.to(one.device)
        return (one.pad(waveforms) if one.frontend is None else one.features(waveforms)).to(one.dtype)

    def lengths(self, min_s: float | None, window_s: float | None) -> Lengths:
        """The lengths that the module takes; those that are said are taken for granted."""
        one, rate = self.classifier, self.classifier.sample_rate
        known = window_s if window_s is not None else min_s
        try:
            first = None if known is None else round(known * rate)
            patient = getattr(one.network, "impatient", contextlib.nullcontext)
            with quietly(one), patient():
                return find_lengths(lambda x: one.network(self.given(x)), rate, _hints(one.network), first)
        except OtoscopeError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise _unusable(one, error) from error

    def _output(self, sound: Tensor) -> Any:
        """What the module returns for a sound, with its graph if it can have one."""
        given = self.given(sound)
        try:
            with torch.enable_grad():
                return self.classifier.network(given.detach().requires_grad_())
        except Exception:  # noqa: BLE001 - it may use NumPy, which takes no tensors that require gradients
            return self.classifier.network(given)

    def entry(self, frames: int, labels: list[str] | None) -> int | None:
        """The number of the one entry of a returned tuple that has a score for each label; None leaves it to `Readout`."""
        one = self.classifier
        with quietly(one):
            raw = one.network(self.given(probe_sounds(frames, one.sample_rate)[1:2]))
        tensors = [i for i, x in enumerate(raw) if isinstance(x, Tensor)] if isinstance(raw, list | tuple) else []
        if len(tensors) < 2:
            return None
        fits = [i for i in tensors if labels is not None and raw[i].ndim > 1 and raw[i].shape[-1] in (len(labels), 1)]
        if len(fits) != 1 or labels is None:
            log.warning(
                "%s returns %d tensors, of which the first is taken for the scores; say output= if this is wrong",
                one.name,
                len(tensors),
            )
            return None
        return fits[0]

    def scores(self, readout: Readout, frames: int) -> _Scores:
        """The module's numbers for the probe sounds, one by one."""
        one = self.classifier
        found, last = [], ""
        with quietly(one):
            *sounds, silence = probe_sounds(frames, one.sample_rate).split(1)
            for sound in (*sounds, silence):
                try:
                    raw = torch.atleast_1d(readout.scores(self._output(sound), one.name))
                except Exception:
                    if sound is silence:  # `examine` tells of it
                        break
                    raise
                if len(raw) != 1:
                    raise ShapeError(
                        f"classifier {one.name!r} returned scores of shape {tuple(raw.shape)} for one waveform; expected (1, class)"
                    )
                last = last_operation(raw)
                found.append(raw.detach().float().cpu())
        values = torch.cat(found)
        while values.ndim > 2 and values.shape[-1] == 1:
            values = values[..., 0]
        return _Scores(values[:, None] if values.ndim == 1 else values, last)


def examine(classifier: Classifier, frames: int | None = None) -> Classifier:
    """Try a classifier on made-up sounds and note in it what makes its answers doubtful.

    The same sounds are given twice, and in a batch; digital silence; and a long sound of which the ends change. What is found
    stands in ``info["checks"]`` and ``doubts`` and is told once. Sounds of which only a stretch is heard are heard in windows of
    that length; a network whose answers depend on the rest of a batch is given one sound at a time.

    Parameters
    ----------
    classifier : Classifier
        Changed in place.
    frames : int, samples, optional
        A length that it takes; by default a second, or its own limits.
    """
    rate = classifier.sample_rate
    n = frames or _within(classifier, rate)
    sounds = probe_sounds(n, rate).to(classifier.device)
    if not _takes_batches(classifier, sounds):
        classifier.one_by_one = True
    forgetful = getattr(
        classifier.network, "forgetful", contextlib.nullcontext
    )  # a memory of answers would hide a change
    with quietly(classifier), forgetful():
        silence = _answer(classifier, sounds[-1:])
        steady = steadiness(lambda x: _probabilities(classifier, x), sounds[:4])
    checks: dict[str, Any] = {"repeated": steady.repeated, "batched": steady.batched}
    limit = UNSTEADY if classifier.dtype in (torch.float32, torch.float64) else UNSTEADY_HALF
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
    if steady.repeated <= limit:
        checks |= _hear_all(classifier, doubts)
    classifier.info["checks"] = checks
    classifier.doubts = (*classifier.doubts, *doubts)
    for doubt in doubts:
        log.warning("%s", doubt)
    if classifier.cam_layer and classifier.axes_of(classifier.cam_layer) is None:
        with contextlib.suppress(OtoscopeError):  # a CAM method will say that they are unknown
            classifier.find_axes(classifier.cam_layer)
    return classifier


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
    longest = round(LONG_S * rate)
    frames = longest if classifier.maximum_length is None else min(longest, classifier.maximum_length)

    def heard(n: int) -> tuple[int, int]:
        with quietly(classifier):
            return heard_stretch(lambda x: classifier(x.to(classifier.device)).cpu(), n, rate)

    start, stop = heard(frames)
    if stop == 0:
        doubts.append(f"The answer of {classifier.name!r} does not depend on the sound.")
        return {}
    if (start, stop) == (0, frames):
        return {}
    said = f"of {frames / rate:g} s it hears {start / rate:.3g} s to {stop / rate:.3g} s"
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


def _within(classifier: Classifier, frames: int) -> int:
    """A length that the classifier takes, near the one that is wanted."""
    frames = max(frames, classifier.minimum_length)
    return frames if classifier.maximum_length is None else min(frames, classifier.maximum_length)


def _names(name: str, labels: list[str] | None, scores: _Scores | None, binary: bool) -> list[str]:
    """Labels that fit the module's outputs; a single score gets the label of its absence too."""
    if scores is None and not binary:
        return labels or []
    classes = 1 if scores is None else scores.values.shape[-1]
    if classes == 1:
        if labels is None or len(labels) == 1:
            return ["negative", "positive"] if labels in (None, ["class 0"]) else [f"not {labels[0]}", labels[0]]
        if len(labels) == 2:
            return labels
    if labels is None:
        return [f"class {i}" for i in range(classes)]
    if scores is not None and len(labels) != classes:
        shape = ", ".join(map(str, ("batch", *scores.values.shape[1:])))
        raise ParameterError(f"{name} gives {classes} scores, ({shape}), and there are {len(labels)} labels")
    return labels


def _numbers(name: str, scores: _Scores | None, outputs: Kind | None, multilabel: bool | None) -> Numbers:
    """What the module's numbers are: as it was said, else as it was found out."""
    if outputs is None and scores is None:
        return Numbers("logits", bool(multilabel))
    if outputs is not None:
        if multilabel is None and scores is not None and outputs != "logits":
            p = scores.values.exp() if outputs == "log_probabilities" else scores.values
            multilabel = bool(((p.sum(-1) - 1).abs() > SUM).any()) and p.shape[-1] > 1
        return Numbers(outputs, bool(multilabel))
    assert scores is not None
    found = kind_of(scores.values.reshape(-1, scores.values.shape[-1]), scores.last)
    if multilabel is None or found.outputs == "logits":
        return replace(found, multilabel=bool(multilabel) if found.outputs == "logits" else found.multilabel)
    if found.multilabel and not multilabel:
        raise ParameterError(
            f"{name} gives numbers between 0 and 1 that do not sum to 1, so its classes are not exclusive; pass multilabel=True, "
            "or outputs='logits' if they are logits"
        )
    return replace(found, multilabel=multilabel)


def _durations(
    sample_rate: int, lengths: Lengths | None, min_s: float | None, window_s: float | None
) -> tuple[float | None, float | None]:
    """Shortest and longest sound in seconds: as said, else as found."""
    if lengths is not None and window_s is None and lengths.longest is not None:
        window_s = lengths.longest / sample_rate
    if lengths is not None and min_s is None and lengths.shortest > 1:
        min_s = lengths.shortest / sample_rate
    return min_s, window_s


def _differentiable(module: nn.Module) -> nn.Module:
    """The module, or a copy of one that was made under ``torch.inference_mode``, whose tensors take no part in gradients."""
    if not any(t.is_inference() for t in (*module.parameters(), *module.buffers())):
        return module
    with torch.inference_mode(False):
        log.warning("%s was made under torch.inference_mode; a copy of it is explained", type(module).__name__)
        return copy.deepcopy(module)


def _last_convolution(module: nn.Module) -> str | None:
    convolutions = [n for n, m in module.named_modules() if n and isinstance(m, nn.Conv1d | nn.Conv2d)]
    return convolutions[-1] if convolutions else None


def _hints(module: nn.Module) -> list[int]:
    """Lengths at which the module hints: the sizes of its weights, of which one may be a number of samples."""
    sizes = {n for t in itertools.chain(module.parameters(), module.buffers()) for n in t.shape if n >= 16}
    return sorted(sizes, reverse=True)[:MOST_HINTS]


def _unusable(classifier: Classifier, error: Exception) -> ParameterError:
    """A module that takes none of the probe sounds."""
    reason = " ".join(str(error).split())[:300]
    said = f"{classifier.name} fails on sounds of 0.5 to 30 s at {classifier.sample_rate} Hz ({type(error).__name__}: {reason}); "
    if classifier.frontend is None and any(
        isinstance(m, nn.Conv2d | nn.BatchNorm2d) for m in classifier.network.modules()
    ):
        return ParameterError(
            f"{said}it must take waveforms (batch, time); a network that takes a spectrogram needs frontend=, which makes one"
        )
    return ParameterError(f"{said}it must take waveforms (batch, time); say window_s= if it takes one length alone")

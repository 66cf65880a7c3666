"""`wrap`: any ``nn.Module`` that takes waveforms, or features, as a `Classifier`."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from otoscope.classifiers.base import Classifier, checked_rate
from otoscope.classifiers.examine import examine
from otoscope.classifiers.frontends import fit_frontend
from otoscope.classifiers.inspected import memory_errors
from otoscope.classifiers.labels import label_names, yes_or_no
from otoscope.classifiers.outputs import Kind, Pool, Readout
from otoscope.classifiers.probe import SUM, Lengths, Numbers, kind_of
from otoscope.classifiers.streaming import Streaming, fit_streaming
from otoscope.classifiers.trial import Trial, TrialScores
from otoscope.core.errors import ParameterError

log = logging.getLogger("otoscope")


def wrap(
    module: Any,
    *,
    sample_rate: int | None = None,
    labels: int | Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str] | None = None,
    multilabel: bool | None = None,
    outputs: Kind | None = None,
    output: str | int | None = None,
    pool: Pool | None = None,
    frontend: nn.Module | str | Callable[[Any], Any] | None = None,
    cam_layer: str | None = None,
    axes: Mapping[str, str] | None = None,
    min_s: float | None = None,
    window_s: float | None = None,
    overlap_s: float | None = None,
    chunk: int | None = None,
    context: int = 0,
    name: str | None = None,
    check: bool = True,
) -> Classifier:
    """Any ``nn.Module`` that takes waveforms as a `Classifier`.

    What is not given is determined with a few synthetic sounds: the lengths that the module takes, whether it gives logits or
    probabilities, which stretch of a sound it hears, and whether its answers depend on chance or on the other sounds of a batch.

    Parameters
    ----------
    module : nn.Module or transformers pipeline
        Waveform ``(batch, time)`` -> scores ``(batch, class)``; with ``frontend``: features -> scores. It is not changed, and not
        copied unless it was made under ``torch.inference_mode``. One score a sound, ``(batch, 1)`` or ``(batch,)``, answers a
        yes-no question (sigmoid). Scores of frames, ``(batch, frame, class)``, need ``pool``. An audio classification pipeline, or
        a model of transformers with its feature extractor as ``frontend``, is copied and brings its own settings.
    sample_rate : int, Hz
        The rate at which it was trained; a pipeline has its own.
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
        How scores of frames become one score per class.
    frontend : nn.Module, str or callable, optional
        Makes the features that ``module`` takes, see `fit_frontend`: a registered name with settings, such as
        ``"log_mel,n_mels=64"``; any module; or a function of NumPy arrays, at which gradients stop. With it, the ``features``
        domain and Grad-CAM on two-dimensional maps are possible.
    cam_layer : str, optional
        Default layer of CAM methods; else the last convolution.
    axes : mapping of str to str, optional
        Dotted layer name -> the axes of its output after the batch, such as ``"frame channel"``; see `Classifier`.
    min_s, window_s, overlap_s : float, s, optional
        Shorter sounds are padded with silence; longer ones are heard in windows, which overlap.
    chunk, context : int, samples, optional
        For a module that takes a sound in chunks and may keep a state between them: the length of a chunk, and how much of the
        sound before it is given too. The state is cleared before each sound; scores of chunks are scores of frames.
    name : str, optional
        Name for messages and records; by default the class of the module.
    check : bool
        Whether the module is tried on synthetic sounds; if False, arguments that are not given take their defaults.

    Returns
    -------
    Classifier
        Its ``doubts`` list the reasons to doubt its answers; ``info["checks"]`` holds what was measured.

    Raises
    ------
    ParameterError
        If ``module`` is not an ``nn.Module``, it fails on every sound, or it contradicts an argument.

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
    if isinstance(module, Classifier):
        return module
    in_memory = _transformers_parts(module, frontend)
    if in_memory is not None:
        return _of_transformers(*in_memory, name, sample_rate, labels)
    sample_rate, title = _rate(module, sample_rate), name or _kind(module)
    frontend, module = _front(_differentiable(module), frontend, sample_rate, chunk is not None or bool(context))
    if frontend is None:
        module = fit_streaming(module, sample_rate, (chunk, context, output), pool, title, window_s or min_s, check)
        cam_layer, axes, output = _inside(module, cam_layer, axes, output)
    named = None if labels is None else _named(labels)
    said = Readout("logits" if outputs is None else outputs, output, pool, bool(multilabel))
    trial = Trial(module, frontend, sample_rate, title)
    with memory_errors(1):
        lengths = trial.lengths(min_s, window_s) if check or named is None else None
        if lengths is not None and output is None:
            said = replace(said, key=trial.entry(lengths.works, named))
        scores = None if lengths is None else trial.scores(said, lengths.works)
    # If no scores were computed, one label means a class and its absence.
    alone = named is not None and len(named) == 1 and not multilabel
    binary = alone if scores is None else scores.values.shape[-1] == 1
    numbers = _numbers(title, scores, outputs, multilabel)
    exclusive = binary or not numbers.multilabel
    min_s, window_s = _durations(sample_rate, lengths, min_s, window_s)
    classifier = Classifier(
        module,
        sample_rate=sample_rate,
        labels=_names(title, named, scores, binary),
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
    _tell(classifier, numbers)
    return examine(classifier, lengths.works) if check and lengths is not None else classifier


def _kind(module: nn.Module) -> str:
    """The class of a module; TorchScript records what it was compiled from."""
    return str(getattr(module, "original_name", type(module).__name__))


def _named(labels: Any) -> list[str]:
    """Names of the classes; numbers in a list are names too."""
    if isinstance(labels, list | tuple):
        labels = [str(label) if isinstance(label, int) else label for label in labels]
    return label_names(labels)


def _inside(
    module: nn.Module, cam_layer: str | None, axes: Mapping[str, str] | None, output: str | int | None
) -> tuple[str | None, Mapping[str, str] | None, str | int | None]:
    """Names of layers as they are in a network that hears chunks, which chooses the entry with the scores itself."""
    if not isinstance(module, Streaming):
        return cam_layer, axes, output
    named = None if axes is None else {f"network.{layer}": order for layer, order in axes.items()}
    return cam_layer and f"network.{cam_layer}", named, output if module.chunk is None else None


def _front(module: nn.Module, frontend: Any, sample_rate: int, chunked: bool) -> tuple[nn.Module | None, nn.Module]:
    """A front end, if there is one, and the module behind it."""
    if frontend is None:
        return None, module
    if chunked:
        raise ParameterError(
            "chunk is for modules that take waveforms; leave it out, or put the front end into the module"
        )
    return fit_frontend(frontend, module, sample_rate)


def _rate(module: Any, sample_rate: int | None) -> int:
    """The sample rate of a module."""
    if not isinstance(module, nn.Module):
        raise ParameterError(f"wrap takes a torch nn.Module or a pipeline of transformers; got {type(module).__name__}")
    if sample_rate is None:
        raise ParameterError(
            "sample_rate must be a whole number of Hz, and is missing: pass the rate at which the module was trained"
        )
    return checked_rate(sample_rate)


def _transformers_parts(module: Any, frontend: Any) -> tuple[Any, Any] | None:
    """Model and feature extractor of a pipeline, or of a model of transformers with its extractor; None for anything else."""
    kind = type(module).__module__
    if kind.startswith("transformers.pipelines"):
        return module.model, getattr(module, "feature_extractor", None)
    extracts = any(c.__name__ == "FeatureExtractionMixin" for c in type(frontend).__mro__)
    return (module, frontend) if extracts else None


def _of_transformers(model: Any, extractor: Any, name: str | None, sample_rate: int | None, labels: Any) -> Classifier:
    from otoscope.classifiers.hf_memory import from_transformers

    classifier = examine(from_transformers(model, extractor, name), ends=False)
    named = None if labels is None else label_names(labels)
    if sample_rate not in (None, classifier.sample_rate) or named not in (None, list(classifier.labels)):
        raise ParameterError(
            f"{classifier.name} listens at {classifier.sample_rate} Hz and has {len(classifier.labels)} labels of its own; "
            "leave out sample_rate and labels"
        )
    return classifier


def _tell(classifier: Classifier, numbers: Numbers) -> None:
    """Log and record how the numbers are interpreted, unless ``outputs`` was given."""
    if numbers.reason:
        classifier.info["outputs"] = f"treated as {numbers.outputs.replace('_', ' ')}: {numbers.reason}"
        log.warning("%s: outputs are %s; pass outputs= if this is wrong", classifier.name, classifier.info["outputs"])


def _names(name: str, labels: list[str] | None, scores: TrialScores | None, binary: bool) -> list[str]:
    """Labels that fit the module's outputs; a single score gets the label of its absence too."""
    if scores is None and not binary:
        return labels or []
    classes = 1 if scores is None else scores.values.shape[-1]
    if classes == 1:
        if labels is None or len(labels) == 1:
            return ["negative", "positive"] if labels in (None, ["class 0"]) else yes_or_no(labels[0])
        if len(labels) == 2:
            return labels
    if labels is None:
        return [f"class {i}" for i in range(classes)]
    if scores is not None and len(labels) != classes:
        shape = ", ".join(map(str, ("batch", *scores.values.shape[1:])))
        raise ParameterError(f"{name} gives {classes} scores, ({shape}), but there are {len(labels)} labels")
    return labels


def _numbers(name: str, scores: TrialScores | None, outputs: Kind | None, multilabel: bool | None) -> Numbers:
    """What the module's numbers are: as given, otherwise as found by probing."""
    if scores is None:
        return Numbers("logits" if outputs is None else outputs, bool(multilabel))
    if outputs is not None:
        if multilabel is None and outputs != "logits":
            p = scores.values.exp() if outputs == "log_probabilities" else scores.values
            multilabel = bool(((p.sum(-1) - 1).abs() > SUM).any()) and p.shape[-1] > 1
        return Numbers(outputs, bool(multilabel))
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
    """Shortest and longest sound in seconds: as given, otherwise as found."""
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

"""`explain` and `classify`: the front door for sounds, one or many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from tqdm import tqdm

from otoscope.attribution.background import background_digest
from otoscope.audio import AudioSource, close_audio, open_audio
from otoscope.audio.check import check_finite, check_form
from otoscope.classifiers import Classifier
from otoscope.classifiers.inspected import memory_errors
from otoscope.core import registry
from otoscope.core.records import Clip
from otoscope.datasets.backgrounds import Background
from otoscope.explanation.explainers import Explainer, make_explainer
from otoscope.explanation.explanation import BackgroundRecord, Explanation
from otoscope.explanation.pipeline import run_pipeline
from otoscope.explanation.request import (
    DEFAULT_MODEL,
    Request,
    check_whole,
    defaults_for,
    make_request,
    resolve_model,
)
from otoscope.explanation.scoring import score_sound
from otoscope.explanation.windows import ensure_one_window, windows_of
from otoscope.surgery import preserve_state

Sound = str | os.PathLike[str] | bytes | np.ndarray | dict[str, Any] | Clip | AudioSource


@overload
def explain(
    audio: list[Any] | tuple[Any, ...],
    model: Any = ...,
    *,
    method: Any = ...,
    domain: Any = ...,
    target: int | str | None = ...,
    mask: str = ...,
    weights: str | os.PathLike[str] | None = ...,
    labels: int | Sequence[str] | None = ...,
    sample_rate: int | None = ...,
    seed: int = ...,
    device: str = ...,
    batch_size: int = ...,
    progress: bool = ...,
) -> list[Explanation]: ...


@overload
def explain(
    audio: Sound,
    model: Any = ...,
    *,
    method: Any = ...,
    domain: Any = ...,
    target: int | str | None = ...,
    mask: str = ...,
    weights: str | os.PathLike[str] | None = ...,
    labels: int | Sequence[str] | None = ...,
    sample_rate: int | None = ...,
    seed: int = ...,
    device: str = ...,
    batch_size: int = ...,
    progress: bool = ...,
) -> Explanation: ...


def explain(
    audio: Any,
    model: Any = DEFAULT_MODEL,
    *,
    method: Any = None,
    domain: Any = None,
    target: int | str | None = None,
    mask: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    labels: int | Sequence[str] | None = None,
    sample_rate: int | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 16,
    progress: bool = False,
) -> Explanation | list[Explanation]:
    """Explain which part of a sound a classifier used, and which part it ignored.

    Parameters
    ----------
    audio : path, bytes, array, dict, Clip, or a list of these
        One sound gives an `Explanation`, a list of sounds a list of them. Sounds of one length are explained in batches.
    model : str, path or Classifier
        A name, a model folder, or what `load_classifier` and `wrap` give.
    method : str, (str, mapping) or captum attribution object, optional
        By default ``mask_optimisation``, or, for a classifier that gives no gradients, ``mask_evolution`` on coarse cells.
        ``NAME`` or ``NAME,setting=value,...``; `otoscope methods` lists them. A name with a mapping of its settings
        is for values that hold commas: ``("like-to-hear", {"autoencoder": "my,folder"})``.
    domain : str or (str, mapping), optional
        Likewise, such as ``mel,bands=64,ms=20`` or ``("components", {"source": "stems", "stems": "my,folder"})``.
    target : int or str, optional
        The class to explain, by number or label; by default the most probable one.
    mask : str, optional
        How attributions become a mask, such as ``smallest``, ``positive`` or ``topk:0.3,smooth_time=0.05``.
    weights : path, optional
        Weights for a named model.
    labels : int or sequence of str, optional
        Classes for a named model that takes any, such as CLAP's in words.
    sample_rate : int, Hz, optional
        Of arrays, which do not carry one.
    seed : int
        Of methods that draw random numbers.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where the classifier runs.
    batch_size : int
        Most clips in one pass; a smaller batch needs less memory.
    progress : bool
        Show a bar for what takes longer than two seconds.

    Returns
    -------
    Explanation or list of Explanation

    Raises
    ------
    OtoscopeError
        One of its children, saying what came, what was expected and what to do.

    Examples
    --------
    >>> import otoscope, numpy as np
    >>> noise = np.random.default_rng(0).normal(size=32000) / 10
    >>> e = otoscope.explain(noise, sample_rate=32000, method="input_x_gradient")
    >>> e.kept.frames
    32000
    """
    make_request(method, domain, mask, target, seed, batch_size)  # faults are found before a model is loaded
    many = isinstance(audio, list | tuple) and not (audio and isinstance(audio[0], int | float | np.number))
    sources = [open_sound(a, sample_rate) for a in (audio if many else [audio])]
    classifier = resolve_model(model, weights, device, labels)
    request = make_request(*defaults_for(classifier, method, domain, mask), target, seed, batch_size)
    made = explain_sources(sources, classifier, request, progress)
    return made if many else made[0]


def open_sound(audio: Any, sample_rate: int | None = None) -> AudioSource:
    """Open a sound; a `Clip` made by hand is checked as every other sound is."""
    source = open_audio(audio, sample_rate)
    if isinstance(audio, Clip):
        check_form(audio.source, audio.sample_rate, audio.channels, audio.frames)
        check_finite(audio.source, audio.samples, audio.sample_rate)
    return source


def explain_sources(
    sources: Sequence[AudioSource],
    classifier: Classifier,
    request: Request,
    progress: bool = False,
    explainer: Explainer | None = None,
) -> list[Explanation]:
    """Explain opened sounds, those of one length together; the order is kept.

    Parameters
    ----------
    sources : sequence of AudioSource or Clip
        The sounds, of any rate, length and number of channels.
    classifier : Classifier
        The classifier that is explained.
    request : Request
        Checked settings of method, domain, mask and target.
    progress : bool
        Show a bar.
    explainer : Explainer, optional
        What `explainer_of` made for this request and classifier; by default it is made here.
    """
    if not sources:
        return []
    explainer = explainer_of(request, classifier) if explainer is None else explainer
    shared: dict[str, Any] = {"classifier": classifier, "request": request, "weights_sha256": classifier.digest()}
    shared["background"] = _background(request)
    options: dict[str, Any] = {"target": request.target, "seed": request.seed, "batch_size": request.batch_size}
    n_windows = [len(windows_of(s, classifier)) for s in sources]
    ensure_one_window(request.domain, classifier, [s for s, n in zip(sources, n_windows, strict=True) if n > 1])
    found: dict[int, Explanation] = {}
    total = sum(n_windows) * (_passes(request) + 3)
    bar = tqdm(total=total, desc="explaining", unit="pass", delay=2, leave=False, disable=None if progress else True)
    with preserve_state(classifier), bar as shown:
        options["progress"] = shown.update
        for members in _batches(sources, n_windows, request):
            sounds = [sources[i] for i in members]
            with memory_errors(request.batch_size):  # also in a backward pass
                results = run_pipeline(sounds, classifier, explainer, request.domain, [request.mask], **options)
            for i, result in zip(members, results, strict=True):
                found[i] = Explanation(
                    source=sources[i],
                    target=result.target,
                    attribution=result.attribution,
                    mask=result.masks[0],
                    scores=result.scores[0],
                    seconds=result.seconds,
                    n_windows=n_windows[i],
                    generated=result.generated,
                    rendition=result.rendition,
                    **shared,
                )
    return [found[i] for i in range(len(sources))]


def explainer_of(request: Request, classifier: Classifier) -> Explainer:
    """The explainer of a request."""
    return make_explainer(
        request.method, request.method_settings, classifier, request.spec["method"], batch_size=request.batch_size
    )


def _batches(sources: Sequence[AudioSource], n_windows: Sequence[int], request: Request) -> list[list[int]]:
    """Numbers of the sounds that are explained together: those of one form; a long one fills batches of its own."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, source in enumerate(sources):
        length = source.frames if n_windows[i] == 1 else -1 - i
        groups.setdefault((length, source.sample_rate, request.domain.alike(source)), []).append(i)
    size = request.batch_size
    return [g[start : start + size] for g in groups.values() for start in range(0, len(g), size)]


def _background(request: Request) -> BackgroundRecord | None:
    """What the method compares with, where that is not silence."""
    settings = dict(request.method_settings) if isinstance(request.method, str) else {}
    if not {"background", "per_class"} <= set(settings):
        return None
    named = settings["background"]
    digest = background_digest(named, settings["per_class"], request.seed)
    if digest is None:
        return None
    place = named.name if isinstance(named, Background) else os.path.abspath(Path(named).expanduser())
    return BackgroundRecord(place, digest)


def _passes(request: Request) -> int:
    if not isinstance(request.method, str):
        return 1
    return int(registry.get("method", request.method).facts["passes"](**request.method_settings))


def classify(
    audio: Any,
    model: Any = DEFAULT_MODEL,
    *,
    top_k: int = 5,
    weights: str | os.PathLike[str] | None = None,
    labels: int | Sequence[str] | None = None,
    sample_rate: int | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> list[dict[str, Any]]:
    """The most probable labels of a sound, in the shape of Hugging Face pipelines.

    Parameters
    ----------
    audio : path, bytes, array, dict or Clip
        Of any length; a sound of over 30 s is scored in windows, of which the mean is taken.
    model : str, path or Classifier
        As in `explain`.
    top_k : int
        Number of labels.
    weights : path, optional
        Weights for a named model.
    labels : int or sequence of str, optional
        Classes for a named model that takes any.
    sample_rate : int, Hz, optional
        Of arrays, which do not carry one.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where the classifier runs.
    batch_size : int
        Most windows in one pass.

    Returns
    -------
    list of dict
        ``{"label", "score"}``, the most probable first.

    Examples
    --------
    >>> import otoscope, numpy as np
    >>> silence = np.zeros(32000, np.float32)
    >>> [sorted(row) for row in otoscope.classify(silence, sample_rate=32000, top_k=1)]
    [['label', 'score']]
    """
    batch_size = check_whole("batch_size", batch_size, 1)
    classifier = resolve_model(model, weights, device, labels)
    source = open_sound(audio, sample_rate)
    try:
        with preserve_state(classifier):
            found = score_sound(source, classifier, batch_size)
    finally:
        close_audio(source)
    order = np.argsort(-found, kind="stable")[: max(1, top_k)]
    return [{"label": classifier.labels[i], "score": float(found[i])} for i in order]

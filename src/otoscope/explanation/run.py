"""`explain`: sounds -> explanations, in batches; long sounds in overlapping windows and constant memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from otoscope.attribution import Problem, Result, as_attributions, attribute
from otoscope.attribution.background import background_digest
from otoscope.audio import AudioSource, Span, close_audio, open_audio
from otoscope.audio.check import check_finite, check_form
from otoscope.classifiers import Classifier, Inspected
from otoscope.classifiers.inspected import memory_errors
from otoscope.core import registry
from otoscope.core.records import Attribution, Clip, Mask, Scores, Target
from otoscope.domains import Analysis, Rendition, bound, grid_of, pool_segments, rendition_of
from otoscope.explanation.explanation import Background, Explanation
from otoscope.explanation.given import Given, Giver, Heard, give, make_giver
from otoscope.explanation.joined import Joined, at_times
from otoscope.explanation.listen import batches, check_at_once, piece, probabilities, spans_of
from otoscope.explanation.request import (
    DEFAULT_DOMAIN,
    DEFAULT_MASK,
    DEFAULT_METHOD,
    DEFAULT_MODEL,
    Request,
    check_whole,
    make_request,
    resolve_model,
)
from otoscope.masks import to_mask
from otoscope.surgery import preserve_state

Progress = Callable[[int], object]


def explain(
    audio: Any,
    model: Any = DEFAULT_MODEL,
    *,
    method: Any = DEFAULT_METHOD,
    domain: Any = DEFAULT_DOMAIN,
    target: int | str | None = None,
    mask: str = DEFAULT_MASK,
    weights: str | os.PathLike[str] | None = None,
    labels: int | Sequence[str] | None = None,
    sample_rate: int | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 16,
    progress: bool = False,
) -> Any:
    """What of a sound a classifier listened to, and what it ignored.

    Parameters
    ----------
    audio : path, bytes, array, dict, Clip, or a list of these
        A list in gives a list out; clips of one length are explained in real batches.
    model : str, path or Classifier
        A name, a model folder, or what `load_classifier` and `wrap` give.
    method : str, (str, mapping) or captum attribution object
        ``NAME`` or ``NAME,setting=value,...``; `otoscope methods` lists them. A name with its settings apart is for values
        that hold commas: ``("like-to-hear", {"autoencoder": "my,folder"})``.
    domain : str or (str, mapping)
        Likewise, such as ``mel,bands=64,ms=20`` or ``("components", {"source": "stems", "stems": "my,folder"})``.
    target : int or str, optional
        The class to explain; by default the most probable one.
    mask : str
        Such as ``positive`` or ``topk:0.3,smooth_time=0.05``.
    weights : path, optional
        Weights for a named model.
    labels : int or sequence of str, optional
        Classes for a named model that takes any, such as CLAP's in words.
    sample_rate : int, Hz, optional
        Of arrays.
    seed : int
    device : {"auto", "cpu", "cuda", "cuda:N"}
    batch_size : int
        Most clips in one pass; less needs less memory.
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
    request = make_request(method, domain, mask, target, seed, batch_size)
    many = isinstance(audio, list | tuple) and not (audio and isinstance(audio[0], int | float | np.number))
    sources = [open_sound(a, sample_rate) for a in (audio if many else [audio])]
    classifier = resolve_model(model, weights, device, labels)
    made = explain_sources(sources, classifier, request, progress)
    return made if many else made[0]


def open_sound(audio: Any, sample_rate: int | None = None) -> AudioSource:
    """A sound; a clip that somebody made by hand is held to what every other sound is held to."""
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
    giver: Giver | None = None,
) -> list[Explanation]:
    """Explain opened sounds, those of one length together; the order is kept.

    ``giver`` is what `make_giver` made for this request and classifier, where there is one already.
    """
    giver = giver or (make_giver(request, classifier) if sources else None)
    digest = classifier.digest()
    compared = _compared(request)
    jobs = [_Job(source, spans_of(source, classifier), digest, compared) for source in sources]
    check_at_once(request.domain, classifier, [j.source for j in jobs if len(j.spans) > 1])
    alike = getattr(request.domain, "alike", lambda _sound: None)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, job in enumerate(jobs):
        alone = -1 - i  # a long sound makes batches of its own windows
        length = job.source.frames if len(job.spans) == 1 else alone
        groups.setdefault((length, job.source.sample_rate, alike(job.source)), []).append(i)
    out: dict[int, Explanation] = {}
    n_passes = sum(len(j.spans) for j in jobs) * (_passes(request) + 3)
    with (
        preserve_state(classifier),
        tqdm(
            total=n_passes, desc="explaining", unit="pass", delay=2, leave=False, disable=None if progress else True
        ) as bar,
    ):
        for members in groups.values():
            for start in range(0, len(members), request.batch_size):
                chosen = members[start : start + request.batch_size]
                run = _way(jobs[chosen[0]], giver)
                with memory_errors(
                    request.batch_size
                ):  # what the passes themselves do not map, such as a backward pass
                    made = run([jobs[i] for i in chosen], classifier, request, bar.update)
                out.update(zip(chosen, made, strict=True))
    return [out[i] for i in range(len(jobs))]


def _way(job: _Job, giver: Giver | None) -> Callable[..., list[Explanation]]:
    """How jobs of this kind are explained."""
    if giver is not None:
        return partial(_explain_given, giver)
    return _explain_batch if len(job.spans) == 1 else _explain_long


class _Job:
    """A sound and the windows that it is explained in."""

    def __init__(
        self, source: AudioSource, spans: list[Span], weights_sha256: str, background: Background | None = None
    ):
        self.source, self.spans, self.weights_sha256, self.background = source, spans, weights_sha256, background

    def waveform(self, classifier: Classifier, span: Span) -> Tensor:
        """One window as the classifier hears it, ``(time,)``."""
        return torch.tensor(piece(self.source, span, classifier.sample_rate))


def _compared(request: Request) -> Background | None:
    """What the method compares with, where that is no silence."""
    settings = dict(request.method_settings) if isinstance(request.method, str) else {}
    if not {"background", "per_class"} <= set(settings):
        return None
    named = settings["background"]
    digest = background_digest(named, settings["per_class"], request.seed)
    return None if digest is None else Background(os.path.abspath(Path(named).expanduser()), digest)


def _passes(request: Request) -> int:
    if not isinstance(request.method, str):
        return 1
    return int(registry.get("method", request.method).facts["passes"](**request.method_settings))


def _problem(
    stretches: Sequence[tuple[_Job, Span]], classifier: Classifier, request: Request, tick: Progress
) -> Problem:
    batch = torch.stack([job.waveform(classifier, span) for job, span in stretches]).to(classifier.device)
    inspected = Inspected(classifier, bound(request.domain, [job.source for job, _ in stretches]), batch)
    targets = torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    return Problem(inspected, targets, request.seed, request.batch_size, tick)


def _score_masks(problem: Problem, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the kept and of the removed parts, ``(batch, class)`` each."""
    inspected = problem.inspected
    with torch.no_grad():
        kept = inspected.analysis.synthesise(torch.from_numpy(masks).to(problem.targets.device))
        removed = inspected.analysis.complement(kept)
        logits = [inspected.classify(part) for part in (kept, removed)]
        return tuple(inspected.classifier.probabilities(x).cpu().numpy() for x in logits)  # type: ignore[return-value]


def _attribute(problem: Problem, request: Request) -> list[Attribution]:
    result: Result = attribute(problem, request.method, request.method_settings)
    grids = [grid_of(problem.inspected.analysis, i) for i in range(problem.batch)]
    return as_attributions(result, grids, request.spec["method"])


def _explain_batch(jobs: list[_Job], classifier: Classifier, request: Request, tick: Progress) -> list[Explanation]:
    """Sounds of one length, each in one window."""
    started = time.perf_counter()
    problem = _problem([(j, j.spans[0]) for j in jobs], classifier, request, tick)
    analysis = problem.inspected.analysis
    with torch.no_grad():
        original = classifier.probabilities(problem.inspected.original()).cpu().numpy()
    targets = [classifier.target(request.target, p) for p in original]
    problem.targets = torch.tensor([t.index for t in targets], device=problem.targets.device)
    attributions = _attribute(problem, request)
    masks = _settle(problem, [to_mask(a, request.mask) for a in attributions])
    kept, removed = _score_masks(problem, np.stack([m.values for m in masks]))
    tick(3 * len(jobs))
    seconds = (time.perf_counter() - started) / len(jobs)
    scores = [Scores(*row) for row in zip(original, kept, removed, strict=True)]
    return [
        _explanation(job, classifier, request, _Found(*parts, seconds, rendition=_own_rendition(analysis, i)))
        for i, (job, parts) in enumerate(zip(jobs, zip(targets, attributions, masks, scores, strict=True), strict=True))
    ]


def _settle(problem: Problem, masks: list[Mask]) -> list[Mask]:
    """The masks that are really put on the clips: where cells belong together, their mean."""
    given = torch.from_numpy(np.stack([m.values for m in masks])).to(problem.targets.device)
    with torch.no_grad():
        values = pool_segments(problem.inspected.analysis, given).clamp(0, 1).cpu().numpy()
    return [replace(m, values=v) for m, v in zip(masks, values, strict=True)]


def _own_rendition(analysis: Analysis, clip: int) -> Rendition | None:
    return rendition_of(analysis, clip) if hasattr(analysis, "rendition") else None


def _explain_long(jobs: list[_Job], classifier: Classifier, request: Request, tick: Progress) -> list[Explanation]:
    """One sound in overlapping windows: scores are means over windows, attributions fade into one another."""
    (job,) = jobs
    started = time.perf_counter()
    original = probabilities(job.source, classifier, request.batch_size)
    target = classifier.target(request.target, original)
    attribution = _join(job, classifier, request, target, tick)
    mask = to_mask(attribution, request.mask)
    sums: np.ndarray = np.zeros((2, len(classifier.labels)))
    heard = _joined(job, classifier, request)
    for spans in batches(job.spans, request.batch_size):
        problem = _problem([(job, s) for s in spans], classifier, request, tick)
        grid = problem.inspected.grid
        local = [grid.times + s.start / job.source.sample_rate for s in spans]
        parts = [Mask(at_times(mask.values, mask.grid.times, t), grid, mask.spec) for t in local]
        even = np.stack([p.values for p in _settle(problem, parts)])
        sums += np.stack([p.sum(0) for p in _score_masks(problem, even)])
        for span, values in zip(spans, even, strict=True):
            heard.add(span, values, grid.times)
        tick(3 * len(spans))
    if problem.inspected.analysis.segments() is not None:  # what is heard is what was scored
        mask = replace(mask, values=np.clip(heard.values, 0, 1))
    kept, removed = (sums / len(job.spans)).astype(np.float32)
    seconds = time.perf_counter() - started
    scores = Scores(original, kept, removed)
    return [_explanation(job, classifier, request, _Found(target, attribution, mask, scores, seconds))]


def _join(job: _Job, classifier: Classifier, request: Request, target: Target, tick: Progress) -> Attribution:
    """Attributions of all windows on one grid over the whole sound.

    Standard errors fade into one another as the values do, as if those of neighbours went together: they are no smaller than
    the truth. Facts are means over windows.
    """
    joined, errors = _joined(job, classifier, request), _joined(job, classifier, request)
    known, facts = True, []  # whether every window has errors
    for spans in batches(job.spans, request.batch_size):
        problem = _problem([(job, s) for s in spans], classifier, request, tick)
        problem.targets.fill_(target.index)
        for span, found in zip(spans, _attribute(problem, request), strict=True):
            joined.add(span, found.values, found.grid.times)
            facts.append(found.facts)
            known &= found.standard_error is not None
            if found.standard_error is not None:
                errors.add(span, found.standard_error, found.grid.times)
    mean = {name: float(np.mean([f[name] for f in facts])) for name in facts[0]}
    return Attribution(joined.values, joined.grid, request.spec["method"], errors.values if known else None, mean)


def _joined(job: _Job, classifier: Classifier, request: Request) -> Joined:
    """Room for values of all windows of one sound."""
    first = request.domain.grid(len(job.waveform(classifier, job.spans[0])), classifier)
    return Joined(first, job.source, job.spans)


def _explain_given(
    giver: Giver, jobs: list[_Job], classifier: Classifier, request: Request, tick: Progress
) -> list[Explanation]:
    """Sounds of one length, or one long sound, by a method that gives the kept sound."""
    started = time.perf_counter()
    if request.target is not None:
        classifier.target(request.target, np.zeros(len(classifier.labels)))  # refused before anything is made
    given = [give(giver, job.source, len(job.spans), tick) for job in jobs]
    heard = Heard([j.source for j in jobs], given, [j.spans for j in jobs], classifier, request)
    heard.listen(tick)
    seconds = (time.perf_counter() - started) / len(jobs)
    out = []
    for i, job in enumerate(jobs):
        scores = heard.scores(i)
        target = classifier.target(request.target, scores.original)
        found = _Found(target, *heard.described(i), scores, seconds, given[i])
        out.append(_explanation(job, classifier, request, found))
    return out


class _Found(NamedTuple):
    """What was found of one sound."""

    target: Target
    attribution: Attribution
    mask: Mask
    scores: Scores
    seconds: float
    given: Given | None = None
    rendition: Rendition | None = None


def _explanation(job: _Job, classifier: Classifier, request: Request, found: _Found) -> Explanation:
    return Explanation(
        source=job.source,
        classifier=classifier,
        request=request,
        n_windows=len(job.spans),
        weights_sha256=job.weights_sha256,
        background=job.background,
        **found._asdict(),
    )


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
    """The most probable labels of a sound, as a list of ``{"label", "score"}`` (the shape of Hugging Face pipelines).

    Parameters are those of `explain`; sounds over 30 s are scored in windows, of which the mean is taken.
    """
    batch_size = check_whole("batch_size", batch_size, 1)
    classifier = resolve_model(model, weights, device, labels)
    source = open_sound(audio, sample_rate)
    try:
        with preserve_state(classifier):
            found = probabilities(source, classifier, batch_size)
    finally:
        close_audio(source)
    order = np.argsort(-found, kind="stable")[: max(1, top_k)]
    return [{"label": classifier.labels[i], "score": float(found[i])} for i in order]

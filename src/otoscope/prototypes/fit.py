"""Find prototypes of a frozen classifier: stretches of training clips whose vote decides as the classifier does.

Candidates are the places of the clips' maps at which there is sound: windows of time, bands, or both. The classes are those that
the classifier predicts, since it is the classifier that is explained. Nothing of it changes, and no gradient is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_space import PrototypeSpace, most_probable
from otoscope.core.errors import ParameterError
from otoscope.datasets import Dataset
from otoscope.prototypes.candidates import Candidates, FitSettings, best_similarity, candidates
from otoscope.prototypes.choose import Chosen, choose, temperature
from otoscope.prototypes.fitted import FittedPrototype, FittedPrototypes
from otoscope.prototypes.layer_clips import (
    Box,
    LayerClip,
    box_sound,
    clip_name,
    heard_scores,
    layer_of,
    read_clip,
    record_clips,
)

ROUNDS = 8  # of hearing: so many stretches for each prototype, at most


def fit_prototypes(
    classifier: Classifier,
    data: Dataset | Sequence[LayerClip],
    layer: str | None = None,
    settings: FitSettings | None = None,
    classes: Sequence[str | int] = (),
    progress: Callable[[int], None] | None = None,
    **given: Any,
) -> FittedPrototypes:
    """Prototypes of a frozen classifier, in one forward pass a clip.

    Parameters
    ----------
    classifier : Classifier
        Any classifier with a layer that has maps over time; it stays as it is.
    data : Dataset or sequence of LayerClip
        Training clips, or what `record_clips` gave of them. Labels are not used.
    layer : str, optional
        Dotted name; by default the layer of CAM methods.
    settings : FitSettings, optional
        How.
    classes : sequence of str or int, optional
        The classifier is taken to decide between these classes; by default, between all of its classes. For taggers, among
        whose hundreds of classes many mean nearly the same, and none is the one decision.
    progress : callable, optional
        Called with the number of clips that are done.
    **given
        Settings by name, in place of ``settings``.

    Returns
    -------
    FittedPrototypes
        The same clips and settings give the same prototypes.

    Raises
    ------
    UnsupportedError
        If the classifier has no such layer, or the layer has no maps over time.
    ParameterError, UnknownNameError
        For settings out of range.
    OtoscopeError
        If there are no clips, all are silent, or a file cannot be read.

    Notes
    -----
    Similarity is that of `PrototypeSpace`: the cosine of the angle between vectors as seen from their mean, less where one is near
    the mean. A clip is as like a prototype as its most similar
    place is; the vote is a softmax over prototypes, whose temperature is chosen on the training clips, each without the prototypes
    that are parts of itself. A class that the classifier predicts for no clip gets no prototypes.

    Examples
    --------
    >>> fitted = fit_prototypes(model, data, per_class=1)
    >>> [(p.name, p.clip[:3]) for p in fitted.prototypes]
    [('high 1', 'hig'), ('low 1', 'low'), ('middle 1', 'mid')]
    """
    if settings is not None and given:
        raise ParameterError("give either settings= or settings by name")
    settings = settings or FitSettings(**given)
    name, among = layer_of(classifier, layer), _among(classifier, classes)
    clips = record_clips(classifier, data, name, progress=progress) if isinstance(data, Dataset) else list(data)
    if not clips:
        raise ParameterError("there are no clips to fit prototypes to")
    clips = [replace(clip, among=among) for clip in clips]
    found = candidates(clips, settings, classifier.sample_rate)
    similarity = best_similarity(found, clips, settings, classifier.sample_rate)
    predicted = torch.tensor([clip.predicted for clip in clips])
    scored: dict[int, bool] = {}
    chosen = choose(found, similarity, predicted, settings, [])
    while settings.hear and (deaf := _not_heard(classifier, clips, found, chosen, scored)):
        chosen = choose(found, similarity, predicted, settings, deaf)
        if not set(chosen.numbers) - set(scored):
            break
    return _record(classifier, clips, (found, similarity, chosen), (name, settings, data))


def _among(classifier: Classifier, classes: Sequence[str | int]) -> tuple[int, ...]:
    """Numbers of the classes, at least two of them, in order; none for all."""
    if isinstance(classes, str):
        raise ParameterError(f"give classes as a list; got {classes!r}")
    none = np.zeros(len(classifier.labels))
    numbers = tuple(sorted({classifier.target(one, none).index for one in classes}))
    if len(numbers) == 1:
        raise ParameterError(
            f"give at least two classes to decide between; got {classifier.labels[numbers[0]]!r} alone"
        )
    return numbers


def _sound(classifier: Classifier, clip: LayerClip, box: Box) -> tuple[np.ndarray, int]:
    """What is heard in a box of a clip, and its rate."""
    if clip.example is None:
        raise ParameterError("prototypes are parts of files: give clips of a data set (`record_clips`)")
    whole = read_clip(clip.example, classifier)
    return box_sound(whole, box, classifier.sample_rate / 2), whole.sample_rate


def _not_heard(
    classifier: Classifier, clips: Sequence[LayerClip], found: Candidates, chosen: Chosen, scored: dict[int, bool]
) -> list[int]:
    """Candidates whose sound the classifier does not give its class, of all that were chosen so far; none when it is done."""
    fresh = [n for n in chosen.numbers if n not in scored]
    sounds = [_sound(classifier, clips[int(found.clips[n])], found.boxes[n]) for n in fresh]
    scores = heard_scores(classifier, [s for s, _ in sounds], [rate for _, rate in sounds])
    for n, row in zip(fresh, scores, strict=True):
        clip = clips[int(found.clips[n])]
        scored[n] = most_probable(torch.from_numpy(row), clip.among)[0] == clip.predicted
    if all(scored[n] for n in chosen.numbers) or len(scored) > ROUNDS * max(1, len(chosen.numbers)):
        return []
    return [n for n, right in scored.items() if not right]


def _record(
    classifier: Classifier, clips: Sequence[LayerClip], work: tuple[Candidates, Tensor, Chosen],
    about: tuple[str, FitSettings, Any],
) -> FittedPrototypes:  # fmt: skip
    found, similarity, chosen = work
    layer, settings, data = about
    predicted = torch.tensor([clip.predicted for clip in clips])
    if chosen.numbers:
        best = similarity[:, chosen.numbers]
    else:
        best = best_similarity(found, clips, settings, classifier.sample_rate, chosen.vectors)
    space = PrototypeSpace(
        chosen.vectors.clone(), chosen.classes, found.mean, found.radius, layer, settings.parts, float(settings.window_s),
        temperature(best, chosen.classes, predicted), classifier.digest(), classifier.name, classifier.labels,
        classifier.sample_rate, clips[0].among,
    )  # fmt: skip
    counts, made = [0] * len(classifier.labels), []
    for i, c in enumerate(chosen.classes.tolist()):
        counts[c] += 1
        one = FittedPrototype(f"p{i + 1}", f"{classifier.labels[c]} {counts[c]}", c)
        if chosen.numbers:
            clip, box = clips[int(found.clips[chosen.numbers[i]])], found.boxes[chosen.numbers[i]]
            sound, rate = _sound(classifier, clip, box)
            one = FittedPrototype(one.id, one.name, c, clip_name(clip.example), box, sound, rate)
        made.append(one)
    facts = {
        **{k: getattr(settings, k) for k in ("method", "per_class", "hear", "seed")},
        "data": data.name if isinstance(data, Dataset) else "", "clips": len(clips), "cut": sum(clip.cut for clip in clips),
        "without": [classifier.labels[c] for c in clips[0].among or range(len(counts)) if not counts[c]],
    }  # fmt: skip
    return FittedPrototypes(tuple(made), space, facts)

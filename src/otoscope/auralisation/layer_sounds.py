"""Sounds of many features of one layer, batch by batch: what all of them share is computed once, and memory does not grow."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from otoscope.audio import AudioSource, downmix, write_wav
from otoscope.auralisation.auralise import Way, asked_by, filled_way
from otoscope.auralisation.measures import SILENT, FeatureMeasures, feature_responses, measure_feature, odds
from otoscope.classifiers import Classifier
from otoscope.core.errors import ParameterError
from otoscope.core.files import make_folder, write_text
from otoscope.explanation.batch import ClipBatch
from otoscope.explanation.explain import explainer_of
from otoscope.explanation.pipeline import Pipeline
from otoscope.explanation.request import make_request
from otoscope.explanation.scoring import score_sounds
from otoscope.explanation.windows import ensure_one_window
from otoscope.surgery import preserve_state

TABLE = "features.csv"


class LayerSound(NamedTuple):
    """What one feature of a layer responds to.

    Parameters
    ----------
    number : int
        Of the feature.
    measures : FeatureMeasures, optional
        None where the feature does not respond.
    kept, removed : ndarray (channel, time), optional
        At the sound's own rate.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> [(s.number, s.kept.shape) for s in layer_sounds(features, Clip(noise, 11025), [3, 17])]
    [(3, (1, 22050)), (17, (1, 22050))]
    """

    number: int
    measures: FeatureMeasures | None
    kept: np.ndarray | None
    removed: np.ndarray | None


def layer_sounds(
    features: Classifier,
    sound: AudioSource,
    numbers: Sequence[int] | None = None,
    how: Way | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> Iterator[LayerSound]:
    """The sounds of many features, as `auralise` makes them, without records and reports.

    Parameters
    ----------
    features : Classifier
        What `layer_features` gives, not exclusive.
    sound : AudioSource or Clip
        Of any rate; no longer than the classifier takes at once.
    numbers : sequence of int, optional
        Features, each of which is asked once; by default all of the layer.
    how : Way, optional
        Method, domain and mask; by default deconvolution.
    seed : int
        Of methods that draw random numbers.
    batch_size : int
        So many features are asked together.

    Yields
    ------
    LayerSound
        In the order of ``numbers``.

    Raises
    ------
    ParameterError
        For a feature out of range, or a sound of several windows.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> len(list(layer_sounds(features, Clip(noise, 11025))))
    64
    """
    wanted = list(dict.fromkeys(range(len(features.labels)) if numbers is None else numbers))
    if strange := [n for n in wanted if not isinstance(n, int | np.integer) or not 0 <= n < len(features.labels)]:
        raise ParameterError(f"this layer has features 0 to {len(features.labels) - 1}; got {strange[0]!r}")
    desk = _Desk(features, sound, how or Way(), seed, batch_size)
    audible = [n for n in wanted if desk.responses[n] > SILENT]
    batches = (audible[i : i + batch_size] for i in range(0, len(audible), batch_size))
    made: dict[int, LayerSound] = {}
    for n in wanted:
        if desk.responses[n] > SILENT and n not in made:
            made = desk.hear(next(batches))
        yield made.get(n) or LayerSound(n, None, None, None)


class _Desk:
    """One sound, and what all features need of it."""

    def __init__(self, features: Classifier, sound: AudioSource, how: Way, seed: int, batch_size: int):
        self.features, self.sound = features, sound
        self.request = make_request(*filled_way(features, how), None, seed, batch_size)
        self.asked = asked_by(features, how)
        self.explainer = explainer_of(self.request, self.asked)
        self.first = ClipBatch([sound], self.asked, batch_size)
        if not self.first.in_one_window:
            ensure_one_window(self.request.domain, features, [sound])
            raise ParameterError(
                f"{sound.source} ({sound.duration:.1f} s) is longer than {features.name!r} takes at once; cut it, or ask for "
                "single features"
            )
        with preserve_state(features):
            scored = self.asked is features
            self.responses = odds(self.first.original[0]) if scored else feature_responses(features, sound, batch_size)

    def hear(self, numbers: Sequence[int]) -> dict[int, LayerSound]:
        """Sounds and measures of a batch of features."""
        with preserve_state(self.features):
            clips = self.first.repeated(len(numbers))
            clips.choose_targets(numbers)
            pipeline = Pipeline(clips, self.explainer, self.request.domain, [self.request.mask], self.request.seed)
            kept = pipeline.kept(0, [masks[0] for masks in pipeline.made_masks])
            removed = self.sound.read(0, self.sound.frames) - kept
            mono = np.stack([downmix(x) for x in (*kept, *removed)])
            found = odds(score_sounds(mono, self.sound.sample_rate, self.features, self.request.batch_size))
        rows = zip(numbers, kept, removed, found[: len(kept)], found[len(kept) :], strict=True)
        return {n: LayerSound(n, measure_feature(self.responses, p, q, n), k, r) for n, k, r, p, q in rows}


def save_layer_sounds(
    features: Classifier,
    sound: AudioSource,
    folder: str | os.PathLike[str],
    how: Way | None = None,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[LayerSound], object] = lambda _one: None,
) -> list[dict[str, Any]]:
    """Write the kept sound of every feature of a layer, ``NUMBER.wav``, and ``features.csv`` with their measures.

    Sounds of that form that were there before go.

    Returns
    -------
    list of dict
        The rows of the table: feature, strength, kept, removed, selectivity, selectivity_removed, file; of one that does not
        respond, its number alone.

    Raises
    ------
    WriteError

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> save_layer_sounds(features, Clip(noise, 11025), "all")[17]["file"]
    '17.wav'
    """
    out, rows = make_folder(folder), []
    width = len(str(len(features.labels) - 1))
    for old in out.iterdir():
        if re.fullmatch(r"[0-9]+\.wav", old.name):
            old.unlink()
    for one in layer_sounds(features, sound, None, how, seed, batch_size):
        row: dict[str, Any] = {"feature": one.number}
        if one.measures is not None and one.kept is not None:
            row |= {**vars(one.measures), "file": f"{one.number:0{width}}.wav"}
            write_wav(out / row["file"], one.kept, sound.sample_rate)
        rows.append(row)
        progress(one)
    text = io.StringIO()
    names = ["feature", *FeatureMeasures.__dataclass_fields__, "file"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / TABLE, text.getvalue())
    return rows

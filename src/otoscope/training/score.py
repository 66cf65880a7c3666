"""What a trained classifier gets right, with an interval."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from otoscope.autoencoders import Autoencoder
from otoscope.classifiers.base import Classifier
from otoscope.datasets import Dataset
from otoscope.metrics.signal import si_sdr_db
from otoscope.metrics.statistics import wilson_interval
from otoscope.training.data import Clips, cued_class, loader
from otoscope.training.settings import DataSettings


def evaluate(
    classifier: Classifier, data: Dataset, settings: DataSettings, batch_size: int = 16, pool: Dataset | None = None
) -> dict[str, Any]:
    """Accuracy with its interval, accuracy of each class, confusion matrix (rows: truth) and each clip's outcome.

    If clips are contaminated, each outcome records with what; ``pool`` is what other clips are drawn from.
    """
    clips = Clips(data, classifier.sample_rate, settings, pool=pool)
    device = classifier.device
    confusion = np.zeros((len(data.labels),) * 2, dtype=int)
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for waveform, truth in loader(clips, batch_size):
            probabilities = classifier.probabilities(classifier(waveform.to(device)).float()).cpu()
            for t, p in zip(truth.tolist(), probabilities, strict=True):
                said = int(p.argmax())
                confusion[t, said] += 1
                file = data.examples[len(rows)].path.name
                row = {"file": file, "truth": data.labels[t], "said": data.labels[said], "p": float(p[said])}
                if settings.contaminate:
                    row["contamination"] = json.dumps(clips.contamination(len(rows)))
                rows.append(row)
    totals, right, n = confusion.sum(1), int(np.trace(confusion)), int(confusion.sum())
    per_class = {
        label: float(confusion[i, i] / totals[i]) if totals[i] else None for i, label in enumerate(data.labels)
    }
    return {
        "accuracy": right / max(1, n),
        "interval": list(wilson_interval(right, n)),
        "clips": n,
        "per_class": per_class,
        "labels": list(data.labels),
        "confusion": confusion.tolist(),
        "predictions": rows,
    }


def score_cue(classifier: Classifier, data: Dataset, settings: DataSettings, batch_size: int = 16) -> dict[str, Any]:
    """How often clips of other classes are classified as the planted class, with and without the cue.

    Returns
    -------
    dict
        ``cue``, ``class``, ``clips`` (of other classes), ``called`` (the share of them that is called the planted class
        with the cue) with its ``interval``, and ``called_without``.
    """
    (planted,) = cued_class(data, settings)
    others = dataclasses.replace(data, examples=tuple(e for e in data.examples if e.index != planted))
    counts = []
    for cued in (range(len(data.labels)), ()):
        clips = Clips(others, classifier.sample_rate, settings, cued=cued)
        with torch.no_grad():
            said = [classifier(w.to(classifier.device)).argmax(1).cpu() for w, _ in loader(clips, batch_size)]
        counts.append(sum(int((batch == planted).sum()) for batch in said))
    n = len(others)
    return {
        "cue": settings.plant,
        "class": settings.plant_class,
        "clips": n,
        "called": counts[0] / max(1, n),
        "interval": list(wilson_interval(counts[0], n)),
        "called_without": counts[1] / max(1, n),
    }


def score_reconstructions(
    autoencoder: Autoencoder,
    classifier: Classifier | None,
    data: Dataset,
    settings: DataSettings,
    numbers: Sequence[int],
    batch_size: int = 16,
    pool: Dataset | None = None,
) -> dict[str, Any]:
    """Error of reconstructions, and a classifier's accuracy on them and on the originals.

    Parameters
    ----------
    autoencoder : Autoencoder
        The autoencoder.
    classifier : Classifier or None
        The frozen classifier; None for an autoencoder that was not tuned.
    data : Dataset
        The test clips.
    settings : DataSettings
        Length and level of the clips.
    numbers : sequence of int
        The classifier's index of each of the data set's classes; empty if they are not its classes: then its prediction
        of the original counts as right.
    pool : Dataset, optional
        As in `evaluate`.

    Returns
    -------
    dict
        ``clips``, ``mse`` and ``si_sdr_db`` (means), and with a classifier ``accuracy`` with its ``interval``,
        ``accuracy_original`` and ``agreement``: the share of clips on which both get the same prediction; ``right_is`` is
        what counts as right, ``label`` or ``original``.
    """
    rate = autoencoder.sample_rate if classifier is None else classifier.sample_rate
    found: list[tuple[np.ndarray, ...]] = []
    device = next(autoencoder.parameters()).device
    with torch.inference_mode():
        for waveform, truth in loader(Clips(data, rate, settings, pool=pool), batch_size):
            waveform = waveform.to(device)
            made = autoencoder(waveform, rate)
            heard, wanted = made.cpu().numpy(), waveform.cpu().numpy()
            row = [((heard - wanted) ** 2).mean(-1), si_sdr_db(heard, wanted)]
            if classifier is not None:
                said = [classifier(sound).argmax(1).cpu().numpy() for sound in (made, waveform)]
                row += [*said, np.array([numbers[t] for t in truth.tolist()]) if numbers else said[1]]
            found.append(tuple(row))
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    finite = columns[1][np.isfinite(columns[1])]
    result: dict[str, Any] = {
        "clips": len(columns[0]),
        "mse": float(columns[0].mean()),
        "si_sdr_db": float(finite.mean()) if finite.size else None,
    }
    if classifier is not None:
        after, before, right = columns[2:]
        n = int((after == right).sum())
        result |= {
            "accuracy": n / len(after),
            "interval": list(wilson_interval(n, len(after))),
            "accuracy_original": float((before == right).mean()),
            "agreement": float((after == before).mean()),
            "right_is": "label" if numbers else "original",
        }
    return result

"""From the measures of all clips to the answers: plain data with intervals, and the numbers of clips that they rest on."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from otoscope.metrics.statistics import wilson_interval
from otoscope.studies.like_to_hear.measure import Evaluator
from otoscope.studies.like_to_hear.members import CONTROL

RESAMPLES = 2000


def summarise(
    evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray, labels: tuple[str, ...]
) -> dict[str, Any]:
    """All answers as plain data, from `Evaluator.measure` over all clips and each clip's class number, ``truth`` (clip,)."""
    rng = np.random.default_rng(evaluator.recipe.seed)
    right = np.asarray(measures["said"].argmax(-1) == truth[:, None, None])  # (clip, sound, classifier)
    return {
        "clips": len(truth),
        "labels": list(labels),
        "sample_rate": evaluator.rate,
        "classifiers": _classifiers(evaluator),
        "autoencoders": _autoencoders(evaluator, measures),
        "cross": _cross(evaluator, measures["said"], right, truth),
        "order": _order(evaluator, right),
        "bands": _bands(evaluator, measures["power"], truth, labels, rng),
        "spectrum": {
            "frequencies_hz": [float(f) for f in np.linspace(0, evaluator.rate / 2, measures["spectrum"].shape[-1])],
            "mean": {name: measures["spectrum"][:, i].mean(0).tolist() for i, name in enumerate(evaluator.sounds)},
        },
        "likeness": _similarity(evaluator, measures["likeness"].mean(0)),
        "frequencies": _frequencies(evaluator, measures["filtered"], truth),
    }


def share(right: np.ndarray) -> dict[str, Any]:
    """A share of clips with its 95 % interval (Wilson)."""
    n = int(right.sum())
    return {"accuracy": n / len(right), "interval": list(wilson_interval(n, len(right))), "right": n}


def mean_interval(values: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Mean over clips with its 95 % interval, by resampling the clips; ``n`` is the number of clips with a finite value."""
    values = values[np.isfinite(values)]
    if not values.size:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}


def _classifiers(evaluator: Evaluator) -> dict[str, Any]:
    out = {}
    for name, entry in evaluator.recipe.classifiers.items():
        classifier = evaluator.members.classifiers[name]
        out[name] = {
            "title": entry.title or name,
            "group": entry.group,
            "sha256": classifier.digest(),
            "sample_rate": classifier.sample_rate,
            "parameters": sum(p.numel() for p in classifier.network.parameters()),
        }
    return out


def _autoencoders(evaluator: Evaluator, measures: dict[str, np.ndarray]) -> dict[str, Any]:
    rng = np.random.default_rng(evaluator.recipe.seed)
    out = {}
    for key, tuned in evaluator.members.autoencoders.items():
        i = evaluator.sounds.index(key)
        out[key] = {
            "classifier": tuned.classifier,
            "start": tuned.start,
            "sha256": tuned.autoencoder.digest(),
            "mse": float(measures["mse"][:, i].mean()),
            "si_sdr_db": mean_interval(measures["si_sdr_db"][:, i], rng),
            "epoch": tuned.result.get("kept_epoch"),
            "train_s": tuned.result.get("train_s"),
        }
    return out


def _cross(evaluator: Evaluator, said: np.ndarray, right: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    confidence = np.take_along_axis(said, truth[:, None, None, None], -1)[..., 0]
    return {
        sound: {
            name: {**share(right[:, s, c]), "probability": float(confidence[:, s, c].mean())}
            for c, name in enumerate(evaluator.members.classifiers)
        }
        for s, sound in enumerate(evaluator.sounds)
    }


def _order(evaluator: Evaluator, right: np.ndarray) -> list[dict[str, Any]]:
    """Main networks in the order of how well the others understand what was tuned to them."""
    names, main, rows = list(evaluator.members.classifiers), evaluator.recipe.main(), []
    for key, tuned in evaluator.members.autoencoders.items():
        others = [names.index(name) for name in main if name != tuned.classifier]
        if tuned.classifier in main and others:
            heard = right[:, evaluator.sounds.index(key)]
            rows.append({"autoencoder": key, "by_others": float(heard[:, others].mean())})
    return sorted(rows, key=lambda row: -row["by_others"])


def _bands(
    evaluator: Evaluator, power: np.ndarray, truth: np.ndarray, labels: tuple[str, ...], rng: np.random.Generator
) -> dict[str, Any]:
    """Level of each band relative to the original and to the control, in dB, over all clips and by class.

    Levels are of the mean power over clips; intervals are of the clips' own differences, where the original has any sound.
    """
    floor = power[:, 0].sum(-1).max() * 1e-9

    def level_db(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return np.asarray(10 * np.log10((ours + floor) / (theirs + floor)))

    out: dict[str, Any] = {"edges_hz": evaluator.edges.tolist(), "sounds": {}}
    control = evaluator.sounds.index(CONTROL)
    of_class = {label: truth == c for c, label in enumerate(labels) if (truth == c).any()}
    for key in evaluator.members.autoencoders:  # the control first
        i = evaluator.sounds.index(key)
        entry: dict[str, Any] = {}
        for against, j in (("original", 0), ("control", control)):
            clip_db = level_db(power[:, i], power[:, j])
            clip_db[power[:, 0] <= floor] = np.nan
            entry[against] = {
                "all": level_db(power[:, i].mean(0), power[:, j].mean(0)).tolist(),
                "clips": [mean_interval(clip_db[:, b], rng) for b in range(clip_db.shape[1])],
                "by_class": {
                    label: level_db(power[mine, i].mean(0), power[mine, j].mean(0)).tolist()
                    for label, mine in of_class.items()
                },
            }
        out["sounds"][key] = entry
    return out


def _similarity(evaluator: Evaluator, matrix: np.ndarray) -> dict[str, Any]:
    """Normalised mutual information: of all pairs, within networks (other starting points) and between them."""
    main = [t for t in evaluator.members.autoencoders.values() if t.classifier in evaluator.recipe.main()]
    place = {name: i for i, name in enumerate(evaluator.sounds)}
    pairs = [(a, b, float(matrix[place[a.name], place[b.name]])) for a, b in itertools.combinations(main, 2)]
    within = [value for a, b, value in pairs if a.classifier == b.classifier]
    between = [value for a, b, value in pairs if a.classifier != b.classifier]
    same_start = [value for a, b, value in pairs if a.start == b.start]
    return {
        "sounds": list(evaluator.sounds),
        "matrix": matrix.tolist(),
        "within": float(np.mean(within)) if within else None,
        "between": float(np.mean(between)) if between else None,
        "between_same_start": float(np.mean(same_start)) if same_start else None,
        "pairs": [len(within), len(between), len(same_start)],
    }


def _frequencies(evaluator: Evaluator, filtered: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Accuracies under each condition, of ``filtered`` (clip, classifier, sound, condition, class)."""
    out: dict[str, Any] = {"conditions": [dataclasses.asdict(c) for c in evaluator.conditions], "classifiers": {}}
    for c, name in enumerate(evaluator.asked):
        found: dict[str, Any] = {"own": evaluator.own(name)}
        for s, sound in enumerate(("original", "reconstruction")):
            said = filtered[:, c, s]
            if not np.isnan(said).all():
                found[sound] = [share(right) for right in (said.argmax(-1) == truth[:, None]).T]
        out["classifiers"][name] = found
    return out

"""From the measures of all clips to the answers: plain data with intervals, and the numbers of clips that they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np

from otoscope.metrics.statistics import wilson_interval
from otoscope.studies.like_to_hear.measure import ORIGINAL, RESAMPLED, Evaluator
from otoscope.studies.like_to_hear.members import CONTROL

RESAMPLES = 2000


def summarise(
    evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray, labels: tuple[str, ...]
) -> dict[str, Any]:
    """All answers as plain data.

    Parameters
    ----------
    evaluator : Evaluator
        Classifiers and autoencoders of the study, ready to score.
    measures : mapping
        Of `Bench.measure`, over all clips.
    truth : ndarray (clip,), int
        Class number of each clip.
    labels : tuple of str
        Of the data set.
    """
    rng = np.random.default_rng(evaluator.recipe.seed)
    return {
        "clips": len(truth),
        "labels": list(labels),
        "sample_rate": evaluator.rate,
        "classifiers": _classifiers(evaluator),
        "autoencoders": _autoencoders(evaluator, measures),
        "cross": _cross(evaluator, measures, truth),
        "order": _order(evaluator, measures, truth),
        "bands": _bands(evaluator, measures, truth, labels, rng),
        "spectrum": {
            "frequencies_hz": [float(f) for f in np.linspace(0, evaluator.rate / 2, measures["spectrum"].shape[-1])],
            "mean": {name: measures["spectrum"][:, i].mean(0).tolist() for i, name in enumerate(evaluator.sounds)},
        },
        "likeness": _similarity(evaluator, measures),
        "frequencies": _frequencies(evaluator, measures, truth),
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
    return {
        name: {
            "title": entry.title or name,
            "group": entry.group,
            "sha256": evaluator.members.classifiers[name].digest(),
            "sample_rate": evaluator.members.classifiers[name].sample_rate,
            "parameters": sum(p.numel() for p in evaluator.members.classifiers[name].network.parameters()),
        }
        for name, entry in evaluator.recipe.classifiers.items()
    }


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


def _right(evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Whether each classifier is right on each sound, ``(clip, sound, classifier)``."""
    return np.asarray(measures["said"].argmax(-1) == truth[:, None, None])


def _cross(evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, Any]:
    right = _right(evaluator, measures, truth)
    said = measures["said"]
    confidence = np.take_along_axis(said, truth[:, None, None, None], -1)[..., 0]
    names = list(evaluator.members.classifiers)
    return {
        sound: {
            name: {**share(right[:, s, c]), "probability": float(confidence[:, s, c].mean())}
            for c, name in enumerate(names)
        }
        for s, sound in enumerate(evaluator.sounds)
    }


def _order(evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray) -> list[dict[str, Any]]:
    """Main networks in the order of how well the others understand what was tuned to them."""
    right, names = _right(evaluator, measures, truth), list(evaluator.members.classifiers)
    main, rows = evaluator.recipe.main(), []
    for key, tuned in evaluator.members.autoencoders.items():
        others = [names.index(name) for name in main if name != tuned.classifier]
        if tuned.classifier in main and others:
            heard = right[:, evaluator.sounds.index(key)]
            rows.append({"autoencoder": key, "by_others": float(heard[:, others].mean())})
    return sorted(rows, key=lambda row: -row["by_others"])


def _bands(
    evaluator: Evaluator,
    measures: dict[str, np.ndarray],
    truth: np.ndarray,
    labels: tuple[str, ...],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Level of each band relative to the original and to the control, in dB, over all clips and by class.

    Levels are of the mean power over clips; intervals are of the clips' own differences, where the original has any sound.
    """
    power = measures["power"]
    floor = power[:, 0].sum(-1).max() * 1e-9
    keys = [CONTROL, *(k for k in evaluator.sounds if k not in (ORIGINAL, RESAMPLED, CONTROL))]
    out: dict[str, Any] = {"edges_hz": evaluator.edges.tolist(), "sounds": {}}
    control = evaluator.sounds.index(CONTROL)
    for key in keys:
        i = evaluator.sounds.index(key)
        entry: dict[str, Any] = {}
        for against, j in (("original", 0), ("control", control)):
            clip_db = 10 * np.log10((power[:, i] + floor) / (power[:, j] + floor))
            clip_db[power[:, 0] <= floor] = np.nan
            entry[against] = {
                "all": _level(power, i, j, floor, slice(None)),
                "clips": [mean_interval(clip_db[:, b], rng) for b in range(clip_db.shape[1])],
                "by_class": {
                    label: _level(power, i, j, floor, truth == c)
                    for c, label in enumerate(labels)
                    if (truth == c).any()
                },
            }
        out["sounds"][key] = entry
    return out


def _level(power: np.ndarray, i: int, j: int, floor: float, chosen: Any) -> list[float]:
    ours, theirs = power[chosen, i].mean(0), power[chosen, j].mean(0)
    return [float(v) for v in 10 * np.log10((ours + floor) / (theirs + floor))]


def _similarity(evaluator: Evaluator, measures: dict[str, np.ndarray]) -> dict[str, Any]:
    """Normalised mutual information: of all pairs, within networks (other starting points) and between them."""
    matrix = measures["likeness"].mean(0)
    main = [(k, t) for k, t in evaluator.members.autoencoders.items() if t.classifier in evaluator.recipe.main()]
    within: list[float] = []
    between: list[float] = []
    for n, (a, first) in enumerate(main):
        for b, second in main[n + 1 :]:
            value = float(matrix[evaluator.sounds.index(a), evaluator.sounds.index(b)])
            (within if first.classifier == second.classifier else between).append(value)
    alike = [
        float(matrix[evaluator.sounds.index(a), evaluator.sounds.index(b)])
        for n, (a, first) in enumerate(main)
        for b, second in main[n + 1 :]
        if first.start == second.start
    ]
    return {
        "sounds": list(evaluator.sounds),
        "matrix": matrix.tolist(),
        "within": float(np.mean(within)) if within else None,
        "between": float(np.mean(between)) if between else None,
        "between_same_start": float(np.mean(alike)) if alike else None,
        "pairs": [len(within), len(between), len(alike)],
    }


def _frequencies(evaluator: Evaluator, measures: dict[str, np.ndarray], truth: np.ndarray) -> dict[str, Any]:
    filtered = measures["filtered"]  # (clip, classifier, sound, condition, class)
    out: dict[str, Any] = {
        "conditions": [{"kind": c.kind, "low_hz": c.low_hz, "high_hz": c.high_hz} for c in evaluator.conditions],
        "classifiers": {},
    }
    for c, name in enumerate(evaluator.asked):
        found = {}
        for s, sound in enumerate(("original", "reconstruction")):
            said = filtered[:, c, s]
            if np.isnan(said).all():
                continue
            right = said.argmax(-1) == truth[:, None]
            found[sound] = [share(right[:, k]) for k in range(right.shape[1])]
        out["classifiers"][name] = {"own": evaluator.own(name), **found}
    return out

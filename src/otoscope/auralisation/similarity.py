"""How alike responses are: of one layer to two sounds, by what these share; of features of two networks to the same sounds.

Source: choi2016explaining for the question which attribute drives a layer (stimuli that differ in key, chord and instrument,
correlated layer by layer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from otoscope.auralisation.stimuli import Stimulus

ATTRIBUTES = ("key", "kind", "timbre")
RESAMPLES = 200


def drives(stimuli: Sequence[Stimulus], strength: np.ndarray, seed: int = 0) -> dict[str, dict[str, Any]]:
    """How much each attribute of chords drives a layer.

    Parameters
    ----------
    stimuli : sequence of Stimulus
        Those of the group ``chord`` count; where two or more instruments play chords, those of ``played chord``, and
        the timbre is the instrument.
    strength : ndarray (stimulus, feature)
        Responses of the layer's features to all stimuli.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        For each of key, kind and timbre: ``same``, the mean Pearson correlation over features between two chords that share it and
        nothing else; ``different``, between two that share nothing; ``drive``, the first less the second; ``low`` and ``high``,
        the ends of its 95 % bootstrap interval over chords.

    Examples
    --------
    >>> stimuli = make_stimuli(8000)
    >>> by_timbre = np.array([[{"bright": 1, "dull": 2, "odd": 5}.get(s.values.get("timbre"), 0), s.values.get("key", 0) % 2, 1]
    ...     for s in stimuli], float)
    >>> found = drives(stimuli, by_timbre)
    >>> found["timbre"]["drive"] > found["key"]["drive"]
    True
    """
    players = {s.values["timbre"] for s in stimuli if s.group == "played chord"}
    group = "played chord" if len(players) > 1 else "chord"
    numbers = [i for i, s in enumerate(stimuli) if s.group == group]
    chords, responses = [stimuli[i].values for i in numbers], strength[numbers].astype(np.float64)
    spread = responses.std(0)
    responses = (responses - responses.mean(0)) / np.where(spread > 0, spread, 1.0)  # each feature counts alike
    centred = responses - responses.mean(1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    shared = {a: np.array([[x[a] == y[a] for y in chords] for x in chords]) for a in ATTRIBUTES}
    only = {a: shared[a] & ~np.any([shared[b] for b in ATTRIBUTES if b != a], axis=0) for a in ATTRIBUTES}
    nothing = ~np.any(list(shared.values()), axis=0)
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(chords), size=len(chords)) for _ in range(RESAMPLES)]
    found = {}
    for attribute, pairs in only.items():
        values = [_difference(alike[np.ix_(d, d)], pairs[np.ix_(d, d)], nothing[np.ix_(d, d)]) for d in draws]
        low, high = np.nanpercentile(values, [2.5, 97.5])
        same, different = float(alike[pairs].mean()), float(alike[nothing].mean())
        found[attribute] = {
            "same": same,
            "different": different,
            "drive": same - different,
            "low": float(low),
            "high": float(high),
        }
    return found


def _difference(alike: np.ndarray, same: np.ndarray, nothing: np.ndarray) -> float:
    if not same.any() or not nothing.any():
        return float("nan")
    return float(alike[same].mean() - alike[nothing].mean())


def closest_features(own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each feature of one network the feature of another that responds most alike.

    Parameters
    ----------
    own, other : ndarray (stimulus, feature)
        Responses to the same stimuli.

    Returns
    -------
    numbers : ndarray (feature,)
        Of the other network's features.
    correlations : ndarray (feature,)
        Pearson correlation over stimuli; 0 where one does not vary.

    Examples
    --------
    >>> own = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> numbers, correlations = closest_features(own, own[:, ::-1] * 5 + 1)
    >>> numbers, correlations.round(3)
    (array([1, 0]), array([1., 1.]))
    """
    x, y = (part.astype(np.float64) - part.mean(0, dtype=np.float64) for part in (own, other))
    x, y = (part / np.maximum(np.linalg.norm(part, axis=0), 1e-300) for part in (x, y))
    alike = x.T @ y
    numbers = alike.argmax(1)
    return numbers, alike[np.arange(len(alike)), numbers]

"""Which attribute drives a layer: how alike its responses are to sounds that share key, kind of chord or timbre.

Source: choi2016explaining for the question (stimuli that differ in key, chord and instrument, correlated layer by layer).
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
        Those of the group ``chord`` count.
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
    numbers = [i for i, s in enumerate(stimuli) if s.group == "chord"]
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

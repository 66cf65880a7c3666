"""Measured names of features: how they respond to made stimuli, the plain description that explains it best, and how much of it.

Half of the stimuli choose the description, the other half say how much of the variance of the responses it explains. Below `NAMED`
there is no name: nothing that is known here explains the feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.auralisation.descriptors import Descriptor
from otoscope.auralisation.responses import LayerResponses
from otoscope.auralisation.stimuli import Stimulus

NAMED = 0.5  # of the variance on stimuli that did not choose the name
DEAD = 1e-6  # of the layer's strongest response
TWINS = 0.98  # correlation of responses


@dataclass(frozen=True)
class FeatureName:
    """What a feature responds to, by its responses to made stimuli.

    Parameters
    ----------
    name : str
        In words; empty where nothing explains the responses, ``dead`` where there are none.
    explained : float
        Share of the variance of the responses that the best description explains, on stimuli that did not choose it; at least 0.
    description : str
        Of the best one, also where it explains too little for a name.
    centre_hz, bandwidth_octaves : float
        Of the responses to tones: the strongest, and the range in which they have half of that; NaN without any.
    onset, sustain, offset : float
        Responses to a noise that begins, in its first 100 ms and in its last 300 ms, and in the 100 ms after one ends; the largest
        is 1.
    latency_s : float, s
        From the beginning of the noise to the strongest response.
    modulation_hz : float, Hz
        Rate of amplitude modulation of noise with the strongest response.
    modulation_contrast : float
        The strongest of these over the weakest.
    level_exponent : float
        The response grows with this power of the amplitude: 1 is linear, 0 does not depend on it.
    twin : int
        Another feature of the layer with nearly the same responses; -1 without one.

    Examples
    --------
    >>> FeatureName("onsets", 0.9, "onsets", 1000.0, 3.0, 1.0, 0.1, 0.1, 0.02, 8.0, 3.0, 1.0, -1).name
    'onsets'
    """

    name: str
    explained: float
    description: str
    centre_hz: float
    bandwidth_octaves: float
    onset: float
    sustain: float
    offset: float
    latency_s: float
    modulation_hz: float
    modulation_contrast: float
    level_exponent: float
    twin: int = -1


def name_features(
    stimuli: Sequence[Stimulus],
    responses: LayerResponses,
    descriptions: np.ndarray,
    bank: Sequence[Descriptor],
    sample_rate: int,
) -> list[FeatureName]:
    """Names of the features of one layer.

    Parameters
    ----------
    stimuli : sequence of Stimulus
        What `make_stimuli` gives.
    responses : LayerResponses
        To these.
    descriptions : ndarray (stimulus, descriptor)
        What `describe_sounds` gives of these.
    bank : sequence of Descriptor
        What is described.
    sample_rate : int, Hz
        Of the stimuli.

    Examples
    --------
    >>> from otoscope.auralisation.descriptors import describe_sounds, descriptor_bank
    >>> stimuli, bank = make_stimuli(11025), descriptor_bank(11025)[:20]
    >>> sounds = [s.samples for s in stimuli]
    >>> responses = layer_responses(build("vgg5", 2), ["block1"], sounds)["block1"]
    >>> len(name_features(stimuli, responses, describe_sounds(sounds, 11025, bank), bank, 11025))
    64
    """
    strength = responses.strength.astype(np.float64)
    alive = strength.max(0) > DEAD * max(strength.max(), 1e-30)
    best, explained = _best(strength, descriptions)
    twins = _twins(strength, alive)
    found = []
    for k in range(strength.shape[1]):
        said = bank[best[k]].words(sample_rate)
        name = "dead" if not alive[k] else said if explained[k] >= NAMED else ""
        facts = _tuning(stimuli, strength[:, k], responses.profile[:, k], len(stimuli[0].samples) / sample_rate)
        found.append(FeatureName(name, float(explained[k]) if alive[k] else 0.0, said, **facts, twin=twins[k]))
    return found


def _best(strength: np.ndarray, descriptions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The description of each feature that explains one half of the stimuli best, and what it explains of the other."""
    choose, judge = np.arange(len(strength)) % 2 == 0, np.arange(len(strength)) % 2 == 1
    y, x = strength[choose], descriptions[choose]
    y0, x0 = y - y.mean(0), x - x.mean(0)
    norm = np.linalg.norm(y0, axis=0)[None] * np.linalg.norm(x0, axis=0)[:, None]
    r = (x0.T @ y0) / np.maximum(norm, 1e-300)  # (descriptor, feature)
    best = r.argmax(0)
    chosen = x0[:, best]
    slope = (chosen * y0).sum(0) / np.maximum((chosen**2).sum(0), 1e-300)
    predicted = y.mean(0) + slope * (descriptions[judge][:, best] - x.mean(0)[best])
    error = ((strength[judge] - predicted) ** 2).sum(0)
    total = ((strength[judge] - strength[judge].mean(0)) ** 2).sum(0)
    return best, np.where(total > 0, np.clip(1 - error / np.maximum(total, 1e-300), 0, 1), 0.0)


def _twins(strength: np.ndarray, alive: np.ndarray) -> list[int]:
    """For each feature the most alike other one, if it is nearly the same."""
    centred = strength - strength.mean(0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-300)
    alike = unit.T @ unit
    np.fill_diagonal(alike, -1)
    alike[~alive], alike[:, ~alive] = -1, -1
    return [int(row.argmax()) if row.max() > TWINS else -1 for row in alike]


def _tuning(stimuli: Sequence[Stimulus], strength: np.ndarray, profile: np.ndarray, seconds: float) -> dict[str, float]:
    """What `FeatureName` holds besides the name."""

    def of(group: str, key: str) -> tuple[np.ndarray, np.ndarray]:
        numbers = [i for i, s in enumerate(stimuli) if s.group == group]
        return np.array([float(stimuli[i].values[key]) for i in numbers]), strength[numbers]

    hz, tones = of("tone", "hz")
    centre, width = float("nan"), float("nan")
    if tones.max() > 0:
        centre = float(hz[tones.argmax()])
        inside = hz[tones >= tones.max() / 2]
        width = float(np.log2(inside.max() / inside.min()) + np.log2(hz[1] / hz[0]))
    rates, modulated = of("am noise", "rate_hz")
    contrast = float(modulated.max() / max(modulated.min(), 1e-12)) if modulated.max() > 0 else float("nan")
    return {
        "centre_hz": centre, "bandwidth_octaves": width, **_in_time(stimuli, profile, seconds),
        "modulation_hz": float(rates[modulated.argmax()]), "modulation_contrast": contrast,
        "level_exponent": _exponent(stimuli, strength),
    }  # fmt: skip


def _in_time(stimuli: Sequence[Stimulus], profile: np.ndarray, seconds: float) -> dict[str, float]:
    """Responses to a beginning, a steady and an ended noise, and the latency."""
    wide = {s.values["shape"]: i for i, s in reversed(list(enumerate(stimuli))) if s.group == "gated noise"}
    times = (np.arange(profile.shape[1]) + 0.5) * seconds / profile.shape[1]
    middle, step = 0.5 * seconds, seconds / profile.shape[1]

    def mean(shape: str, start: float, stop: float) -> float:
        inside = (times >= start - step / 2) & (times < stop + step / 2)
        return float(profile[wide[shape]][inside].max()) if inside.any() else 0.0

    begins = profile[wide["begins"]]
    late = times >= seconds - 0.3
    parts = np.array(
        [mean("begins", middle, middle + 0.1), float(begins[late].mean()), mean("ends", middle, middle + 0.1)]
    )
    after = np.flatnonzero(times >= middle - step)
    latency = float(times[after[begins[after].argmax()]] - middle)
    parts = parts / max(parts.max(), 1e-30)
    names = ("onset", "sustain", "offset")
    return {**dict(zip(names, parts.tolist(), strict=True)), "latency_s": max(0.0, latency)}


def _exponent(stimuli: Sequence[Stimulus], strength: np.ndarray) -> float:
    """Slope of the logarithm of responses over that of amplitudes, for the tone that draws most."""
    rows = [
        (s.values["hz"], s.values["level_db"], strength[i]) for i, s in enumerate(stimuli) if s.group == "tone level"
    ]
    best = max({hz for hz, _, _ in rows}, key=lambda hz: max(r for h, _, r in rows if h == hz))
    level, response = np.array([(db, r) for hz, db, r in rows if hz == best]).T
    if response.min() <= 0:
        return float("nan")
    return float(np.polyfit(level, 20 * np.log10(response), 1)[0])

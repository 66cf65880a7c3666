"""Measured names of features: how they respond to made stimuli, the plain description that explains it best, and how much of it.

The description is the one that follows the responses to all stimuli best. How much it explains is said by splits: half of the
stimuli choose a description, and it is judged on the other half. Below `NAMED` there is no name: nothing that is known here
explains the feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from otoscope.auralisation.descriptors import Descriptor
from otoscope.auralisation.responses import LayerResponses
from otoscope.auralisation.stimuli import Stimulus

NAMED = 0.5  # of the variance on stimuli that did not choose the name
SPLITS = 5
NO_RESPONSE = "dead"  # in place of a name
DEAD = 1e-6  # of the layer's strongest response
TWINS = 0.98  # correlation of responses
MOST_CONTRAST = 1000.0  # 60 dB: what responds less does not respond


@dataclass(frozen=True)
class FeatureName:
    """What a feature responds to, by its responses to made stimuli.

    Parameters
    ----------
    name : str
        In words; empty where nothing explains the responses, ``dead`` where there are none.
    explained : float
        Share of the variance of the responses that a description explains on stimuli that did not choose it; at least 0.
    description : str
        Of the best one, also where it explains too little for a name.
    centre_hz, bandwidth_octaves : float
        Of the responses to tones: the strongest, and the range in which they have half of that; NaN without any.
    onset, sustain, offset : float
        Responses to a noise that begins, in its first 100 ms and in its last 300 ms, and in the 100 ms after one ends; the largest
        is 1.
    latency_s : float, s
        From the beginning of the noise to nine tenths of the strongest response.
    modulation_hz : float, Hz
        Rate of amplitude modulation of noise with the strongest response.
    modulation_contrast : float
        The strongest of these over the weakest.
    pitch_hz, pitch_contrast : float
        Of the responses to harmonic stacks, mean over timbres: the pitch with the strongest, in Hz, and that over the weakest.
    timbre, timbre_contrast : str, float
        The instrument (of recorded notes, where they are among the stimuli) or timbre of stacks with the strongest mean response,
        and that over the weakest.
    level_exponent : float
        The response grows with this power of the amplitude: 1 is linear, 0 does not depend on it.
    twin : int
        Another feature of the layer with nearly the same responses; -1 without one.

    Examples
    --------
    >>> FeatureName("onsets", 0.9, "onsets", 1000.0, 3.0, 1.0, 0.1, 0.1, 0.02, 8.0, 3.0, 220.0, 1.5, "dull", 1.2, 1.0, -1).name
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
    pitch_hz: float
    pitch_contrast: float
    timbre: str
    timbre_contrast: float
    level_exponent: float
    twin: int = -1


def is_named(name: str) -> bool:
    """Whether a feature's name says what it responds to.

    Examples
    --------
    >>> is_named("onsets"), is_named(""), is_named("dead")
    (True, False, False)
    """
    return name not in ("", NO_RESPONSE)


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
        facts = _tuning(stimuli, strength[:, k], responses.profile[:, k], len(stimuli[0].samples) / sample_rate)
        said = _in_order(bank[best[k]], facts).words(sample_rate)
        name = NO_RESPONSE if not alive[k] else said if explained[k] >= NAMED else ""
        found.append(FeatureName(name, float(explained[k]) if alive[k] else 0.0, said, **facts, twin=twins[k]))
    return found


def _best(strength: np.ndarray, descriptions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The description of each feature that explains all stimuli best; and what one that a half chooses explains of the other half.

    The second is the mean over both directions of `SPLITS` splits into halves.
    """
    explained = []
    for seed in range(SPLITS):
        first = np.random.default_rng(seed).permutation(len(strength)) < len(strength) // 2
        explained += [_judged(strength, descriptions, half) for half in (first, ~first)]
    return _closest(strength, descriptions), np.clip(np.mean(explained, 0), 0, 1)


def _in_order(one: Descriptor, facts: Mapping[str, Any]) -> Descriptor:
    """Rises in place of falls, or the reverse, where the response to what begins and ends says so.

    In all but a few stimuli there is as much of the one as of the other.
    """
    opposite = {"rise": "fall", "fall": "rise", "onset": "end", "end": "onset"}
    begins = facts["onset"] >= facts["offset"]
    if one.kind in opposite and begins != (one.kind in ("rise", "onset")):
        return replace(one, kind=opposite[one.kind])
    return one


def _closest(strength: np.ndarray, descriptions: np.ndarray) -> np.ndarray:
    """The description with the highest correlation with each feature."""
    y0, x0 = strength - strength.mean(0), descriptions - descriptions.mean(0)
    norm = np.linalg.norm(y0, axis=0)[None] * np.linalg.norm(x0, axis=0)[:, None]
    found: np.ndarray = ((x0.T @ y0) / np.maximum(norm, 1e-300)).argmax(0)
    return found


def _judged(strength: np.ndarray, descriptions: np.ndarray, choose: np.ndarray) -> np.ndarray:
    """What the description that some stimuli choose, with their line through it, explains of the variance of the others."""
    best = _closest(strength[choose], descriptions[choose])
    y, x = strength[choose], descriptions[choose][:, best]
    x0 = x - x.mean(0)
    slope = (x0 * (y - y.mean(0))).sum(0) / np.maximum((x0**2).sum(0), 1e-300)
    others = strength[~choose]
    error = ((others - y.mean(0) - slope * (descriptions[~choose][:, best] - x.mean(0))) ** 2).sum(0)
    total = ((others - others.mean(0)) ** 2).sum(0)
    return np.where(total > 0, 1 - error / np.maximum(total, 1e-300), 0.0)


def _twins(strength: np.ndarray, alive: np.ndarray) -> list[int]:
    """For each feature the most alike other one, if it is nearly the same."""
    centred = strength - strength.mean(0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-300)
    alike = unit.T @ unit
    np.fill_diagonal(alike, -1)
    alike[~alive], alike[:, ~alive] = -1, -1
    return [int(row.argmax()) if row.max() > TWINS else -1 for row in alike]


def _tuning(stimuli: Sequence[Stimulus], strength: np.ndarray, profile: np.ndarray, seconds: float) -> dict[str, Any]:
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
    pitch, high = _strongest(stimuli, strength, "stack", "hz")
    played = "note" if any(s.group == "note" for s in stimuli) else "stack"
    timbre, rich = _strongest(stimuli, strength, played, "timbre")
    return {
        "centre_hz": centre, "bandwidth_octaves": width, **_in_time(stimuli, profile, seconds),
        "modulation_hz": float(rates[modulated.argmax()]), "modulation_contrast": _contrast(modulated),
        "pitch_hz": float(pitch), "pitch_contrast": high, "timbre": str(timbre), "timbre_contrast": rich,
        "level_exponent": _exponent(stimuli, strength),
    }  # fmt: skip


def _strongest(stimuli: Sequence[Stimulus], strength: np.ndarray, group: str, key: str) -> tuple[Any, float]:
    """Of a group of stimuli, the value with the strongest mean response, and that over the weakest."""
    found: dict[Any, list[float]] = {}
    for one, response in zip(stimuli, strength, strict=True):
        if one.group == group:
            found.setdefault(one.values[key], []).append(float(response))
    means = {value: float(np.mean(some)) for value, some in found.items()}
    best = max(means, key=lambda value: means[value])
    return best, _contrast(np.array(list(means.values())))


def _contrast(values: np.ndarray) -> float:
    """The largest over the smallest, at most `MOST_CONTRAST`; NaN where all are 0."""
    return float(values.max() / max(values.min(), values.max() / MOST_CONTRAST)) if values.max() > 0 else float("nan")


def _in_time(stimuli: Sequence[Stimulus], profile: np.ndarray, seconds: float) -> dict[str, float]:
    """Responses to a beginning, a steady and an ended noise, and the latency."""
    wide = {s.values["shape"]: i for i, s in reversed(list(enumerate(stimuli))) if s.group == "gated noise"}
    times = (np.arange(profile.shape[1]) + 0.5) * seconds / profile.shape[1]
    middle, step = 0.5 * seconds, seconds / profile.shape[1]

    def strongest(shape: str, start: float, stop: float) -> float:
        inside = (times >= start - step / 2) & (times < stop + step / 2)
        return float(profile[wide[shape]][inside].max()) if inside.any() else 0.0

    begins = profile[wide["begins"]]
    late = times >= min(seconds - 0.3, times[-1])  # at least the last frame
    parts = np.array(
        [strongest("begins", middle, middle + 0.1), float(begins[late].mean()), strongest("ends", middle, middle + 0.1)]
    )
    after = np.flatnonzero(times >= middle - step)
    first = int((begins[after] >= 0.9 * begins[after].max()).argmax())
    latency = float(times[after[first]] - middle)
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

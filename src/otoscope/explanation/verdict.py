"""How far an explanation can be trusted, in words. Thresholds are here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from otoscope.explanation.controls import CONTROLS

KEPT_SHARE = 0.5
REMOVED_SHARE = 0.5
DISAGREEMENT = 0.2
LARGE_MASK = 0.9
GAP = 0.1  # of the change of the logit, that the sum of attributions may miss
UNSURE = 0.5
SAME_LEVEL = 0.8  # of the probability on the original, at which a control gets the class too
CANCELLED_DB = (
    -12.0
)  # at or below this, the channels of a sound cancel in their mean; two unrelated channels have -3 dB
HABIT = 0.2  # what a control must get at least


@dataclass(frozen=True)
class Verdict:
    """One honest sentence, a level, and the reasons.

    Parameters
    ----------
    trust : {"good", "doubtful", "poor"}
        Level of trust in the explanation.
    sentence : str
        The scores in words.
    warnings : tuple of str
        Reasons to doubt the explanation, in whole sentences, the gravest first.
    answer : tuple of str
        Reasons to doubt the classifier's answer itself; a faithful explanation of a wrong answer is still a good explanation.
    """

    trust: str
    sentence: str
    warnings: tuple[str, ...]
    answer: tuple[str, ...] = ()

    def doubted(self, reasons: tuple[str, ...]) -> Verdict:
        """The same with reasons to doubt it, which come first; a poor one stays poor."""
        trust = "doubtful" if reasons and self.trust == "good" else self.trust
        return replace(self, trust=trust, warnings=(*reasons, *self.warnings))


def cancellation(level_db: float) -> tuple[str, ...]:
    """The note if the channels of a sound cancel: their mean's level relative to theirs, in dB."""
    if level_db > CANCELLED_DB:
        return ()
    how = "silent" if level_db < -90 else f"{-level_db:.0f} dB softer than the channels"
    return (f"The channels cancel: their mean, which the classifier hears, is {how}. Pass one channel instead.",)


def judge(
    label: str,
    scores: Mapping[str, float],
    heard: Mapping[str, float],
    size: float,
    silent: bool,
    is_top: bool,
    controls: Mapping[str, float] = MappingProxyType({}),
    facts: Mapping[str, float] = MappingProxyType({}),
) -> Verdict:
    """The verdict on an explanation.

    Parameters
    ----------
    label : str
        The target's.
    scores, heard : mapping
        Probability of the target on original, kept and removed: in the domain, and of the written files.
    size : float
        Mean of the mask.
    silent : bool
        Whether the sound is silence.
    is_top : bool
        Whether the target is the most probable class.
    controls : mapping
        Probability of the target on each of `CONTROLS`.
    facts : mapping
        What the method found out about its own attributions (`otoscope.attribution.FACTS`).
    """
    original, kept, removed = heard["original"], heard["kept"], heard["removed"]
    poor, doubtful = [], []
    if silent:
        poor.append(
            "The sound is silent: there is nothing to listen to, and the prediction only reflects the classifier's prior."
        )
    if size <= 0:
        poor.append("The mask is empty: nothing of the sound speaks for the target.")
    if kept < KEPT_SHARE * original:
        poor.append(
            f"The kept sound has lost the answer: {label!r} falls from {original:.2f} to {kept:.2f} when it is heard alone."
        )
    if removed >= REMOVED_SHARE * original and not silent:
        doubtful.append(
            f"The removed sound still carries the answer ({label!r} at {removed:.2f}): what was kept is not all that counts."
        )
    gaps = [abs(scores[part] - heard[part]) for part in ("kept", "removed")]
    if max(gaps) > DISAGREEMENT:
        doubtful.append(
            f"What was scored and what is heard differ by up to {max(gaps):.2f}; the numbers marked 'heard' are of the sound."
        )
    doubtful += _of_facts(facts)
    if size > LARGE_MASK:
        doubtful.append(f"Nearly everything is kept (mask size {size:.2f}): the explanation hardly chooses.")
    if original < UNSURE:
        doubtful.append(f"The classifier itself was unsure: {label!r} has {original:.2f} on the original.")
    if not is_top:
        doubtful.append(f"{label!r} is not the classifier's top prediction for this sound; it is explained on request.")
    trust = "poor" if poor else "doubtful" if doubtful else "good"
    sentence = (
        f"The classifier says {label!r} with {_p(original)} on the original, {_p(kept)} on the kept sound alone and "
        f"{_p(removed)} on what was removed."
    )
    return Verdict(trust, sentence, tuple(poor + doubtful), _of_controls(label, original, controls))


def _of_facts(facts: Mapping[str, float]) -> list[str]:
    """What a method found out about its own attributions and that speaks against them."""
    gap, change = abs(facts.get("gap", 0.0)), abs(facts.get("change", math.nan))
    if not gap > GAP * change:
        return []
    share = f" ({gap / change:.0%})" if change > 0 else ""
    return [
        f"The attributions should sum to {change:.2f}, the change of the logit, and miss it by {gap:.2f}{share}: the method does "
        "not follow this network exactly."
    ]


def _of_controls(label: str, original: float, controls: Mapping[str, float]) -> tuple[str, ...]:
    """The controls to which the classifier gives the class at the same level."""
    return tuple(
        f"The classifier also gives {label!r} {controls[name]:.2f} to {what}: its answer tells little about this sound."
        for name, what in CONTROLS.items()
        if name in controls and controls[name] >= max(SAME_LEVEL * original, HABIT)
    )


def _p(value: float) -> str:
    if math.isnan(value):
        return "an undefined probability"
    if 0 < value < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < value < 1 else f"{100 * value:.0f} %"

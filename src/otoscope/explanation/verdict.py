"""How far an explanation can be trusted, in words. Thresholds are here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

KEPT_SHARE = 0.5
REMOVED_SHARE = 0.5
DISAGREEMENT = 0.2
LARGE_MASK = 0.9
UNSURE = 0.5


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
        Reasons for doubt, in whole sentences, the gravest first.
    """

    trust: str
    sentence: str
    warnings: tuple[str, ...]

    def doubted(self, reasons: tuple[str, ...]) -> Verdict:
        """The same with reasons to doubt it, which come first; a poor one stays poor."""
        trust = "doubtful" if reasons and self.trust == "good" else self.trust
        return Verdict(trust, self.sentence, (*reasons, *self.warnings))


def judge(
    label: str, scores: Mapping[str, float], heard: Mapping[str, float], size: float, silent: bool, is_top: bool
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
    return Verdict(trust, sentence, tuple(poor + doubtful))


def _p(value: float) -> str:
    if math.isnan(value):
        return "an undefined probability"
    if 0 < value < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < value < 1 else f"{100 * value:.0f} %"

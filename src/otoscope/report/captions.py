"""Captions of sounds, trust, attribution and mask."""

from __future__ import annotations

from dataclasses import dataclass

from otoscope.explanation.explainers import DESCRIBES
from otoscope.explanation.explanation import Explanation

SOUNDS = {"original": ("A", "Original"), "kept": ("B", "Kept"), "removed": ("C", "Removed")}
"""Key and name of each sound of an explanation."""

TRUST = {
    "good": ("Good", "The kept sound accounts for the prediction."),
    "doubtful": ("Doubtful", "Interpret with care."),
    "poor": ("Poor", "Do not rely on this explanation."),
}
"""Title and advice for each degree of trust."""


@dataclass(frozen=True)
class Captions:
    """Captions of the page of an explanation; the defaults are for a kept sound that a mask selects.

    Parameters
    ----------
    original, kept, removed : str
        Descriptions of these sounds.
    against, favour, unit : str
        Meaning of attribution values below and above 0, and their unit.
    dark, bright : str
        Meaning of mask values near 0 and 1.
    scored, column : str
        Where the first score of each sound was measured, in a sentence and as the head of a column.
    note : str
        A note on attribution and mask; empty for none.
    """

    original: str = "the whole sound"
    kept: str = "what the network used"
    removed: str = "what it ignored"
    against: str = "against"
    favour: str = "for"
    unit: str = ""
    dark: str = "removed"
    bright: str = "kept"
    scored: str = "in the domain of the explanation"
    column: str = "In the domain"
    note: str = ""


MASKED = Captions()
GENERATED = Captions(
    kept="what the method generated",
    removed="the original minus that",
    against="softer",
    favour="louder",
    unit="dB",
    dark="softer",
    bright="as loud",
    scored="as it was generated",
    column="As generated",
    note=f"{DESCRIBES[0].upper()}{DESCRIBES[1:]}.",
)
"""For methods that generate the kept sound; attribution and mask are described from it."""


def captions_of(explanation: Explanation) -> Captions:
    """The captions of an explanation: of a masked or of a generated sound."""
    return MASKED if explanation.generated is None else GENERATED

"""What pages call sounds, trust, attribution and mask."""

from __future__ import annotations

from dataclasses import dataclass

from otoscope.explanation.explainers import DESCRIBES
from otoscope.explanation.explanation import Explanation

SOUNDS = {"original": ("A", "Original"), "kept": ("B", "Kept"), "removed": ("C", "Removed")}
"""Key and name of each sound of an explanation."""

TRUST = {
    "good": ("Good", "The kept sound carries the answer."),
    "doubtful": ("Doubtful", "Read this with care."),
    "poor": ("Poor", "Do not rely on this."),
}
"""Title and advice for each degree of trust."""


@dataclass(frozen=True)
class Captions:
    """What the page of an explanation calls things; the defaults are for a kept sound that a mask made.

    Parameters
    ----------
    original, kept, removed : str
        What these sounds are.
    against, favour, unit : str
        What values of the attribution below and above 0 mean, and their unit.
    dark, bright : str
        What values of the mask near 0 and 1 mean.
    scored, column : str
        Where the first score of each sound was measured, in a sentence and as the head of a column.
    note : str
        What a reader must know of attribution and mask.
    """

    original: str = "the whole sound"
    kept: str = "what the network used"
    removed: str = "what it ignored"
    against: str = "against"
    favour: str = "for"
    unit: str = ""
    dark: str = "removed"
    bright: str = "kept"
    scored: str = "in the domain where the explanation was made"
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

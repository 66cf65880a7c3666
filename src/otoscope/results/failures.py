"""What failed, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.results.groups import group_rows
from otoscope.results.read import Rows, failed

NAMED = ("condition", "classifier", "method", "domain")
SHOWN = 5


@dataclass(frozen=True)
class Failure:
    """Rows that failed for one reason.

    Parameters
    ----------
    condition, classifier, method, domain : str
    reason : str
    rows : int
    clips : tuple of str
        The first few of them.
    """

    condition: str
    classifier: str
    method: str
    domain: str
    reason: str
    rows: int
    clips: tuple[str, ...]


def list_failures(rows: Rows) -> tuple[Failure, ...]:
    """All reasons, most rows first."""
    lost = failed(rows)
    if not lost.any():
        return ()
    rows = rows.take(lost)
    reason = "error" if "error" in rows.columns else "status"
    groups = group_rows(rows, (*NAMED, reason))
    clips = rows.words("clip").each()
    found = []
    order = np.argsort(groups.of, kind="stable")
    for name, mine in zip(groups.names, np.split(order, np.cumsum(np.bincount(groups.of))[:-1]), strict=True):
        some = tuple(sorted({clips[row] for row in mine})[:SHOWN])
        condition, classifier, method, domain, why = name
        found.append(Failure(condition, classifier, method, domain, why or "no reason was written", len(mine), some))
    return tuple(sorted(found, key=lambda f: -f.rows))

"""Example clips of a leaderboard: those on which its first methods do best, do worst and differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from otoscope.core.errors import OtoscopeError
from otoscope.results.cells import group_rows
from otoscope.results.leaderboard import Leaderboard
from otoscope.results.lines import Line
from otoscope.results.metrics import metrics_of, values_of
from otoscope.results.read import Results

BEST, WORST, DISPUTED = "best", "worst", "disputed"
METHODS, PANELS = 4, 4


@dataclass(frozen=True)
class ExampleClip:
    """A clip to listen to.

    Parameters
    ----------
    why : {"best", "worst", "disputed"}
        Why it was chosen: highest or lowest mean over the methods, or largest range.
    panel : int
        Index of its panel.
    clip : str
        Name of the clip.
    lines : tuple of Line
        The methods to hear.
    rows : tuple of int
        Index of the row of each.
    pooled : mapping of str to str
        Its condition or classifier, if the leaderboard pools several.

    Examples
    --------
    >>> results = read_results("study")
    >>> clip = example_clips(results, make_leaderboard(results))[0]
    >>> clip.why, clip.clip, [line.name["method"] for line in clip.lines]
    ('best', 'a.wav', ['lime', 'gradient'])
    """

    why: str
    panel: int
    clip: str
    lines: tuple[Line, ...]
    rows: tuple[int, ...]
    pooled: Mapping[str, str] = field(default_factory=dict)

    def where(self, board: Leaderboard) -> str:
        """Titles of its condition and classifier."""
        own = [board.title_of(column, text) for column, text in self.pooled.items()]
        return ", ".join(title for title in (*own, board.panel_title(self.panel)) if title)


def example_clips(
    results: Results, board: Leaderboard, methods: int = METHODS, panels: int = PANELS
) -> list[ExampleClip]:
    """Choose the clips to listen to from those that the leaderboard reports.

    Parameters
    ----------
    results : Results
        The rows of the leaderboard (`Results.where` of its options).
    board : Leaderboard
        The leaderboard whose first lines are compared.
    methods, panels : int
        Maximum number of each.

    Returns
    -------
    list of ExampleClip
        For each panel the clip with the highest mean over the methods, the one with the lowest, and of the others the one with
        the largest range; by kept minus removed, as heard if it was measured.

    Examples
    --------
    >>> results = read_results("study")
    >>> [(clip.why, clip.clip) for clip in example_clips(results, make_leaderboard(results))]
    [('best', 'a.wav'), ('worst', 'b.wav')]
    """
    values = values_of(results, _measure(results))
    out = []
    for panel in range(min(panels, len(board.panels))):
        there = [line for line in board.of_panel(panel) if line.role != "oracle" and line.clips]
        lines = ([line for line in there if not line.role] or there)[:methods]  # controls only without other methods
        clips, found, place = _common_clips(results, board, lines, values)
        for why, k in _examples(found):
            clip, *texts = clips[k]
            pooled = dict(zip(board.pooled, texts, strict=True))
            out.append(ExampleClip(why, panel, clip, tuple(lines), tuple(int(r) for r in place[:, k]), pooled))
    return out


def _measure(results: Results) -> str:
    known = metrics_of(results)
    for name in ("heard_difference", "difference"):
        if name in known and np.isfinite(values_of(results, name)).any():
            return name
    raise OtoscopeError("no example clips can be chosen: the results hold no probabilities of kept and removed sounds")


def _common_clips(
    results: Results, board: Leaderboard, lines: Sequence[Line], values: np.ndarray
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """The reported clips that all lines have: their names, values and rows, ``(line, clip)``.

    If conditions or classifiers are pooled, a clip counts once under each of them, and their texts follow its name.
    """
    clips = group_rows(results, ["clip", *board.pooled])
    shown = np.ones(len(clips.names), bool)
    if lines and board.choice is not None and not board.choice.same_clips:
        chose = set(board.choice.clips[lines[0].panel])
        shown = np.array([name[0] not in chose for name in clips.names])
    place = np.full((len(lines), len(clips.names)), -1, np.int64)
    usable = ~results.failed & np.isfinite(values)
    for i, line in enumerate(lines):
        texts = {**board.panels[line.panel], **line.labels}
        has = [results.labels(column).matches([text]) for column, text in texts.items()]
        mine = np.flatnonzero(usable & np.all(has, 0))[::-1]
        place[i, clips.of[mine]] = mine  # the first of several (other seeds, for example)
    common = np.flatnonzero(shown & (place >= 0).all(0)) if len(lines) else np.zeros(0, np.int64)
    return [clips.names[k] for k in common], values[place[:, common]], place[:, common]


def _examples(found: np.ndarray) -> list[tuple[str, int]]:
    """Indices of the example clips, each once, of values ``(line, clip)``."""
    if not found.size:
        return []
    mean, spread = found.mean(0), found.max(0) - found.min(0)
    out: list[tuple[str, int]] = []
    for why, order in ((BEST, np.argsort(-mean)), (WORST, np.argsort(mean)), (DISPUTED, np.argsort(-spread))):
        left = [int(k) for k in order if int(k) not in [taken for _, taken in out]]
        if left and (why != DISPUTED or spread[left[0]] > 0):
            out.append((why, left[0]))
    return out

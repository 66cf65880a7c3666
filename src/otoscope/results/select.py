"""Selection of the mask that represents each line of a leaderboard, and of the clips on which it is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require
from otoscope.results.cells import Cells, group_rows
from otoscope.results.metrics import SEVEN, SHAPES, Metric, domain_name, metrics_of, values_of
from otoscope.results.read import Results

RANK, SCORE = "rank", "score"
SOURCE, PANEL = "source", ("condition", "classifier")
MAX_DRAWS = 1_000_000
FLOOR = 1e-9


# --- held-out clips ----------------------------------------------------------------------------------------------------


def sources_of(results: Results, cells: Cells) -> tuple[str, ...]:
    """The source of each clip, ``(clip,)``: the column ``source`` of its rows, else the clip itself.

    Clips of one source (a pair of sounds mixed at several ratios, for example) are not independent.
    """
    out = [f"clip {clip}" for clip in cells.clips]
    if SOURCE in results.columns:
        named = results.labels(SOURCE)
        filled = ~named.matches([""])
        for clip, code in dict(zip(cells.clip[filled].tolist(), named.codes[filled].tolist(), strict=True)).items():
            out[clip] = f"source {named.names[code]}"
    return tuple(out)


def holdout_panels(results: Results, cells: Cells, panel_of: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The clips on which masks are chosen, ``(panel, clip)`` bool, as `holdout` has it; ``panel_of`` (group,) is by number."""
    _, source = np.unique(sources_of(results, cells), return_inverse=True)
    strata = group_rows(results, PANEL).of
    panel = panel_of[cells.groups.of]
    out = []
    for place in range(int(panel_of.max()) + 1):
        mine = cells.ok & (panel == place)
        names, stratum = np.unique(strata[mine], return_inverse=True)
        present = np.zeros((len(names), len(cells.clips)), bool)
        present[stratum, cells.clip[mine]] = True
        out.append(holdout(present, source, seed) & present.any(0))
    return np.array(out)


def holdout(present: np.ndarray, source: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The clips of one panel on which masks are chosen, ``(clip,)`` bool.

    Parameters
    ----------
    present : ndarray (stratum, clip), bool
        The clips of each condition and classifier of the panel. Each stratum is halved; a clip is in the same half in all.
    source : ndarray (clip,), int
        All clips of one source go into one half.
    seed : int, optional
        Seed of a random half; without it, every second source from the first. A single source is reported.
    """
    side = np.zeros(int(source.max(initial=-1)) + 1, np.int64)  # 1 chooses, -1 is reported
    for clips in present:
        mine = np.unique(source[clips])
        if seed is not None:
            mine = mine[np.random.default_rng(seed).permutation(len(mine))]
        chosen = int(side[mine].sum()) + (1 if len(mine) == 1 else 0)
        for one in mine[side[mine] == 0]:
            side[one] = -1 if chosen > 0 else 1
            chosen += side[one]
    return np.asarray(side[source] > 0)


# --- masks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeaderboardOptions:
    """Options of a leaderboard.

    Parameters
    ----------
    metrics : tuple of str
        As `choose_metrics` takes them; empty for the defaults.
    by : tuple of str
        Columns of a line; of method, domain and mask, those that are not among them are chosen for each line.
    only : mapping of str to tuple of str
        Texts of columns to which the rows are limited.
    pool : tuple of {"condition", "classifier"}
        Columns to pool rather than to split into panels; a clip under several conditions counts by its mean.
    sort : str
        A metric, ``seconds`` or ``name``; empty for the first metric that compares domains, else the first.
        By a metric that depends on the grid, lines are sorted domain by domain.
    choose : str
        How masks are chosen: ``rank`` (mean rank over the metrics), ``score`` (audiointerp's geometric mean) or a metric.
    seed : int or None
        Seed of the random half of the clips on which masks are chosen; None takes every second clip of each panel.
    same_clips : bool
        Choose masks on the clips that are reported, as audiointerp does; the numbers are too optimistic.
    level : float in (0, 1)
        Confidence level of the intervals.
    draws : int
        Number of bootstrap resamples, from 1 to 1,000,000.

    Examples
    --------
    >>> options = LeaderboardOptions(metrics=("kept", "removed"), by=("method",), level=0.9)
    >>> make_leaderboard(read_results("study"), options).line_columns
    ['method', 'domain', 'mask']
    """

    metrics: tuple[str, ...] = ()
    by: tuple[str, ...] = ("method", "domain")
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pool: tuple[str, ...] = ()
    sort: str = ""
    choose: str = RANK
    seed: int | None = None
    same_clips: bool = False
    level: float = 0.95
    draws: int = 1000

    def check(self) -> None:
        """Raise a `ParameterError` or `UnknownNameError` for values out of range."""
        if not self.by or len(set(self.by)) < len(self.by):
            raise ParameterError(f"by must name distinct columns; got {', '.join(self.by) or 'none'}")
        for name in self.pool:
            if name not in PANEL:
                raise UnknownNameError("column to pool", name, PANEL)
            if name in self.by:
                raise ParameterError(f"{name} is both in by and in pool; name it in one of them")
        if not 0 < self.level < 1:
            raise ParameterError(f"level must be between 0 and 1; got {self.level!r}")
        if not 1 <= self.draws <= MAX_DRAWS:
            raise ParameterError(f"draws must be between 1 and {MAX_DRAWS:,}; got {self.draws!r}")
        if self.seed is not None and self.seed < 0:
            raise ParameterError(f"seed must be at least 0; got {self.seed!r}")


@dataclass(frozen=True)
class Choice:
    """How the masks were chosen.

    Parameters
    ----------
    columns : tuple of str
        The columns that were chosen: mask, domain, method.
    how : str
        ``rank``, ``score`` or a metric.
    metrics : tuple of str
        The metrics of the criterion.
    clips : tuple of tuple of str
        The clips of each panel on which masks were chosen; its other clips are reported.
    seed : int or None
        As in `LeaderboardOptions`.
    same_clips : bool
        Whether the same clips are reported.
    blind : tuple of int
        For each panel, the number of lines without a clip to choose on; they show the first mask by name.
    """

    columns: tuple[str, ...]
    how: str
    metrics: tuple[str, ...]
    clips: tuple[tuple[str, ...], ...]
    seed: int | None
    same_clips: bool = False
    blind: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Selection:
    """The group of rows that represents each line, and the clips that are ``shown`` in each panel, ``(panel, clip)`` bool.

    ``choice`` is None if each line has one group. ``score`` (line,) is audiointerp's score of the chosen group on the clips to
    choose on; NaN unless chosen by it.
    """

    groups: np.ndarray
    shown: np.ndarray
    choice: Choice | None
    score: np.ndarray


def select_masks(
    results: Results,
    cells: Cells,
    panel: Sequence[str],
    metrics: Sequence[Metric],
    options: LeaderboardOptions,
) -> Selection:
    """Choose the group of rows that represents each line.

    The cells are grouped by the columns of panels (``panel``), of lines, and of what is chosen. The leaderboard's
    ``metrics`` decide if the results hold none of audiointerp's seven. An `OtoscopeError` if no panel has two clips, or no metric
    can decide.
    """
    panel_of, panels = cells.groups.coarser(panel)
    line_of, names = cells.groups.coarser([*panel, *options.by])
    known, everyone = metrics_of(results), np.ones((len(panels), len(cells.clips)), bool)
    if options.choose not in (RANK, SCORE, *known):
        raise UnknownNameError("criterion for masks", options.choose, [RANK, SCORE, *known])
    unscored = np.full(len(names), np.nan)
    if len(names) == len(line_of):
        return Selection(np.argsort(line_of), everyone, None, unscored)
    free = [name for name in cells.groups.by if name not in (*panel, *options.by)]
    varying = [name for name in free if not constant(cells, line_of, name).all()]
    seen = everyone if options.same_clips else holdout_panels(results, cells, panel_of, options.seed)
    if not seen.any():
        raise OtoscopeError(_too_few(varying, len(cells.clips)) if cells.ok.any() else _all_failed(results))
    deciding = _deciding(results, known, metrics, options.choose, _domains_compete(cells, line_of))
    found = {
        m.name: means(np.where(seen[panel_of], cells.values(values_of(results, m.name)), np.nan)) for m in deciding
    }
    found = {name: mean for name, mean in found.items() if np.isfinite(mean).any()} or found
    higher = np.array([bool(known[name].higher_is_better) for name in found])
    goodness = _goodness(np.stack(list(found.values()), 1), higher, line_of, options.choose)
    groups = best_of_each(goodness, line_of)
    decided = np.any([np.isfinite(mean) for mean in found.values()], 0)
    ok = np.bincount(line_of, cells.groups.count(cells.ok)) > 0  # where all rows failed, there was nothing to choose
    blind = ok & (np.bincount(line_of, decided) == 0)
    blind_of = np.bincount(panel_of[groups], blind, len(panels)).astype(int)
    clips = tuple(tuple(name for name, on in zip(cells.clips, half, strict=True) if on) for half in seen)
    how = tuple(varying), options.choose, tuple(found), clips, options.seed, options.same_clips
    choice = Choice(*how, tuple(blind_of.tolist()))
    score = goodness[groups] if options.choose == SCORE else unscored
    return Selection(groups, everyone if options.same_clips else ~seen, choice, score)


def constant(cells: Cells, line_of: np.ndarray, column: str) -> np.ndarray:
    """The lines whose groups have one text of a column, ``(line,)`` bool."""
    pairs = _texts_of_lines(cells, line_of, column)
    return np.bincount([line for line, _ in pairs], minlength=int(line_of.max()) + 1) == 1


def _texts_of_lines(cells: Cells, line_of: np.ndarray, column: str) -> set[tuple[int, str]]:
    """Every line with every text of a column that its groups have."""
    i = cells.groups.by.index(column)
    return {(int(line), name[i]) for line, name in zip(line_of, cells.groups.names, strict=True)}


def means(values: np.ndarray) -> np.ndarray:
    """Means of the finite values of each row, ``(row,)`` of ``(row, clip)``; NaN without any."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(1) / np.where(known.any(1), known.sum(1), np.nan))


def mean_rank(values: np.ndarray, higher: np.ndarray) -> np.ndarray:
    """Mean rank of each row of ``values`` (row, metric); 1 is best in every metric, ties share their mean rank, NaN ranks last."""
    signed = np.where(higher, -1.0, 1.0) * values
    ranks = require("scipy.stats", "study", "the rank of masks", "scipy").rankdata
    return np.asarray(ranks(np.where(np.isnan(signed), np.inf, signed), axis=0).mean(1))


def geometric_score(values: np.ndarray, higher: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """audiointerp's score: the geometric mean of all metrics, each scaled to [0, 1] with 1 the best.

    Parameters
    ----------
    values : ndarray (row, metric)
        Finite or NaN.
    higher : ndarray (metric,), bool
        Whether higher is better.
    among : ndarray (row, metric), optional
        Rows whose minimum and maximum become 0 and 1, ``values`` by default. Values outside are clipped.

    Returns
    -------
    ndarray (row,) in [0, 1]
        NaN if a metric is NaN. A metric at its worst counts as 1e-9 rather than 0.

    Notes
    -----
    Source: audiointerp. Metrics that are the same for all rows are left out.
    """
    among = values if among is None else among
    low, high = np.nanmin(among, 0), np.nanmax(among, 0)
    varies = high > low
    if not varies.any():
        return np.where(np.isnan(values).any(1), np.nan, 1.0)
    scaled = np.clip((values[:, varies] - low[varies]) / (high[varies] - low[varies]), 0.0, 1.0)
    scaled = np.where(higher[varies], scaled, 1.0 - scaled)
    return np.asarray(np.exp(np.log(np.maximum(scaled, FLOOR)).mean(1)))


def best_of_each(goodness: np.ndarray, line: np.ndarray) -> np.ndarray:
    """The row with the highest goodness of every line, ``(line,)`` int; the first among equals, NaN last; no line is empty."""
    order = np.lexsort((np.arange(len(line)), -np.where(np.isnan(goodness), -np.inf, goodness), line))
    return np.asarray(order[np.unique(line[order], return_index=True)[1]])


def _goodness(seen: np.ndarray, higher: np.ndarray, line_of: np.ndarray, how: str) -> np.ndarray:
    """Goodness of each group among those of its line, ``(group,)``, from its means ``(group, metric)``."""
    if how == SCORE:
        return geometric_score(seen, higher)
    if how != RANK:
        return np.asarray(np.where(higher[0], 1.0, -1.0) * seen[:, 0])
    goodness = np.zeros(len(line_of))
    for line in range(int(line_of.max()) + 1):
        mine = np.flatnonzero(line_of == line)
        goodness[mine] = -mean_rank(seen[mine], higher)
    return goodness


def _domains_compete(cells: Cells, line_of: np.ndarray) -> bool:
    """Whether a line has groups of several domains to choose from."""
    pairs = {(line, domain_name(text)) for line, text in _texts_of_lines(cells, line_of, "domain")}
    return len(pairs) > len({line for line, _ in pairs})


def _deciding(
    results: Results, known: Mapping[str, Metric], metrics: Sequence[Metric], how: str, across: bool
) -> list[Metric]:
    """The metrics that decide: the one of ``how``, audiointerp's seven, or those of the table.

    If domains compete (``across``), the seven are those of the written sound, and none depends on the grid.
    """
    if how not in (RANK, SCORE):
        if known[how].higher_is_better is None:
            raise ParameterError(f"masks cannot be chosen by {how!r}, which has no better direction")
        return [known[how]]
    names = [f"heard_{name}" for name in SEVEN if name not in SHAPES] if across else SEVEN
    seven = [known[name] for name in names if name in known and np.isfinite(values_of(results, name)).any()]
    found = seven or [m for m in metrics if m.higher_is_better is not None and not m.truth and (m.across or not across)]
    if not found and across:
        raise OtoscopeError(
            "domains cannot be chosen: no metric is comparable across them, such as those of the written sound (heard_*); add "
            "domain to by, or name a metric to choose by"
        )
    if not found:
        raise OtoscopeError(
            "masks cannot be chosen: no metric has a better direction; add mask to by, or select one mask"
        )
    return found


def _all_failed(results: Results) -> str:
    labels = results.labels("error") if "error" in results.columns else None
    reason = "" if labels is None else labels.names[int(np.bincount(labels.codes).argmax())]
    return f"all {len(results)} rows failed, so there is nothing to compare{': ' + reason if reason else ''}"


def _too_few(columns: Sequence[str], clips: int) -> str:
    what = " and ".join(columns)
    there = "there is one clip" if clips == 1 else "each panel has one clip, or clips of one source"
    return f"{there}, so the {what} of each line cannot be chosen on held-out clips; add {what} to by, or select one"

"""The page of a leaderboard: one HTML file to sort, to filter and to look at; data in, template out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from otoscope.core.errors import ParameterError
from otoscope.core.files import write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.report.formatting import fixed
from otoscope.report.leaderboard_captions import (
    AGREEMENT,
    CHANCE,
    CHANCE_LEAD,
    SANITY,
    SANITY_LEAD,
    UNCHANGED,
    caption,
    digits,
    sanity_heads,
    sanity_rows,
)
from otoscope.report.templating import render_page, showable
from otoscope.results.leaderboard import Leaderboard

REQUIRED = (
    "title", "by", "panels", "metrics", "lines", "failures", "agreements", "caption", "about", "rows", "failed", "clips", "level",
)  # fmt: skip
OPTIONAL: dict[str, Any] = {"sort": "", "of_clips": 0, "choice": None, "chance": [], "sanity": {}, "listen": None}
MAX_PLOTTED = 60
SHAPES = ("sparseness", "complexity", "mask_size")
FAITHFULNESS = ("heard_faithfulness", "faithfulness", "heard_difference", "difference")
HEADINGS = {"agreement": AGREEMENT, "chance": CHANCE, "chance_lead": CHANCE_LEAD, "sanity": SANITY}
WIDTH, LABELS, ROW, FOOT = 440, 168, 24, 34
SQUARE, EDGE = 380, 48
LONGEST = 26


def text(value: object) -> str:
    """Text for SVG, escaped."""
    return str(escape(showable(value)))


def page_contents(board: Leaderboard, listen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A leaderboard as `write_leaderboard_page` takes it.

    ``listen`` are the clips to listen to, as `otoscope.report.examples.write_examples` gives them, and ``href`` of their page.
    """
    contents = board.to_dict()
    bound = {m.name for m in board.within_domains()}
    for metric, places in zip(contents["metrics"], digits(board), strict=True):
        metric |= {"digits": places, "within": metric["name"] in bound}
    for line, written in zip(board.lines, contents["lines"], strict=True):
        written |= {"title": board.line_title(line), "domain": line.domain}
    levels = [{"panel": p, "domain": d, "levels": levels} for p, d, levels in board.chance_levels()]
    sanity = {"heads": sanity_heads(), "rows": sanity_rows(board), "said": SANITY_LEAD, "flag": UNCHANGED}
    more = {"chance": levels, "sanity": sanity, "caption": caption(board)}
    return {**contents, **to_jsonable(more | ({} if listen is None else {"listen": listen}))}


def write_leaderboard_page(contents: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page.

    Parameters
    ----------
    contents : mapping
        A leaderboard as JSON-able data (`page_contents`): ``caption`` is a list of sentences; each metric has ``digits``
        (decimals to show) and ``within`` (whether it is compared within a domain only); ``of_clips``, ``chance`` and
        ``sanity`` are optional, as is ``listen``: ``href`` of the page with the players, relative to this one, and ``clips``,
        each with ``why`` (best, worst, disputed), ``clip``, ``label``, ``where``, ``place`` and ``heard``: for each method
        ``name``, and ``kept`` and ``removed``, the target's probabilities.
    path : path-like
        The HTML file.

    Raises
    ------
    ParameterError
        If the contents lack something.
    """
    lacking = [key for key in REQUIRED if key not in contents]
    if lacking:
        raise ParameterError(f"the page of a table needs {', '.join(REQUIRED)}; it lacks {', '.join(lacking)}")
    board = {**OPTIONAL, **contents, "about": to_jsonable(contents["about"])}
    page = render_page(
        "leaderboard.html.jinja",
        styles=("page.css", "table.css"),
        scripts=("theme.js", "table.js"),
        title=board["title"],
        board=board,
        facts=_facts(board),
        filters=list(_filters(board)),
        panels=[_panel(board, panel) for panel in range(len(board["panels"]))],
        groups=[(title, len(list(some))) for title, some in groupby(board["metrics"], _group)],
        agreement=_agreement(board),
        chance=[
            i for i in range(len(board["metrics"])) if any(row["levels"][i] is not None for row in board["chance"])
        ],
        headings=HEADINGS,
        tau=_tau,
        names=_names,
    )
    return write_text(path, page)


def _facts(board: Mapping[str, Any]) -> str:
    lost = f", {board['failed']} failed" if board["failed"] else ""
    of = f" of {board['of_clips']}" if board["of_clips"] > board["clips"] else ""
    return f"{board['clips']}{of} clips \u00b7 {board['rows']} rows{lost}"


def _title(board: Mapping[str, Any], column: str, word: str) -> str:
    """The study's title of a text of a column, or the text."""
    known = board["about"].get(f"{column}s") or {}
    found = known.get(word) if isinstance(known, Mapping) else None
    return str((found.get("title") if isinstance(found, Mapping) else found) or word)


def _filters(board: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """Columns of the panels with several texts: name, pairs of text and title, and the text that is on."""
    panels = board["panels"]
    for column in panels[0] if panels else ():
        texts = list(dict.fromkeys(panel[column] for panel in panels))
        if len(texts) > 1:
            choices = [*((text, _title(board, column, text)) for text in texts), ("", "All")]
            yield column, choices, texts[0] if len(panels) > 2 else ""


def _panel(board: Mapping[str, Any], panel: int) -> dict[str, Any]:
    """Title, texts, lines and plots of a panel."""
    texts = board["panels"][panel]
    lines = [line for line in board["lines"] if line["panel"] == panel]
    names = [_short_name(line) for line in lines]
    plotted = len(lines) <= MAX_PLOTTED
    drawn = [(m, interval_plot(m, i, lines, names)) for i, m in enumerate(board["metrics"])] if plotted else []
    return {
        "title": ", ".join(filter(None, (_title(board, *item) for item in texts.items()))) or "All",
        "texts": texts,
        "lines": lines,
        "scatters": list(_scatters(board, panel, lines, names)) if plotted else [],
        "plots": drawn,
    }


def _names(line: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The name of a line, and its other texts."""
    texts = [*line["name"].values(), *line["chosen"].values()]
    title = line.get("title", "")
    if title and title != texts[0]:
        return title, [text for text in texts if text]
    return texts[0] or "none", [text for text in texts[1:] if text]


def _short_name(line: Mapping[str, Any]) -> str:
    """The name of a line in plots."""
    main, _ = _names(line)
    rest = [text for key, text in line["name"].items() if key not in ("method", "name") and text and text != main]
    return ", ".join([main, *rest])


def _group(metric: Mapping[str, Any]) -> str:
    if metric["truth"]:
        return "Ground truth"
    if metric["heard"]:
        return "As heard"
    return "The mask" if metric["name"] in SHAPES else "In the domain"


def _tau(found: Mapping[str, Any]) -> str:
    """A rank correlation with its interval."""
    if found["low"] is None:
        return fixed(found["tau"], 2)
    return f"{fixed(found['tau'], 2)} ({fixed(found['low'], 2)} to {fixed(found['high'], 2)})"


def _agreement(board: Mapping[str, Any]) -> dict[str, Any]:
    """Rank correlations: the ground-truth metrics, and per panel, domain and metric the agreement with each (or None)."""
    named = {metric["name"]: metric for metric in board["metrics"]}
    found = {(a["panel"], a.get("domain", ""), a["metric"], a["truth"]): a for a in board["agreements"]}
    truths = list(dict.fromkeys(key[3] for key in found))
    rows = [
        (panel, domain, named[metric], [found.get((panel, domain, metric, truth)) for truth in truths])
        for panel, domain, metric in dict.fromkeys(key[:3] for key in found)
    ]
    return {"truths": [named[truth] for truth in truths], "rows": rows}


def _scatters(
    board: Mapping[str, Any], panel: int, lines: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[tuple[str, str, Any]]:
    """Faithfulness against each ground-truth metric: title, rank correlation, plot."""
    metrics = board["metrics"]
    known = {metric["name"]: place for place, metric in enumerate(metrics)}
    first = next((known[name] for name in FAITHFULNESS if name in known), None)
    for truth in (place for place, metric in enumerate(metrics) if metric["truth"]):
        if first is None:
            return
        pair, places = (metrics[first], metrics[truth]), (first, truth)
        apart = any(metric.get("within") for metric in pair)
        for domain in dict.fromkeys(line.get("domain", "") for line in lines) if apart else ("",):
            some = [k for k, line in enumerate(lines) if not apart or line.get("domain", "") == domain]
            if apart and sum(all(lines[k]["values"][p]["mean"] is not None for p in places) for k in some) < 2:
                continue
            key = (panel, pair[0]["name"], pair[1]["name"])
            found = [
                _tau(a)
                for a in board["agreements"]
                if (a["panel"], a["metric"], a["truth"]) == key and a.get("domain", "") in (domain, "")
            ]
            title = f"{pair[0]['title']} and {pair[1]['title'][:1].lower() + pair[1]['title'][1:]}"
            title += f", {domain}" if domain else ""
            yield title, found[0] if found else "", scatter_plot(pair, places, lines, names, some)


# --- plots ----------------------------------------------------------------------------------------------------------


def interval_plot(
    metric: Mapping[str, Any], place: int, lines: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Markup:
    """One metric of all lines: a dot for the mean, a stroke for the interval; the best line is filled.

    ``place`` is the index of the metric among the values of each line.
    """
    values = [line["values"][place] for line in lines]
    height = ROW * len(lines) + FOOT
    to, ticks = _axis([v[k] for v in values for k in ("mean", "low", "high")], LABELS + 10, WIDTH - 14)
    parts = [_tick(x, label, 4, height - FOOT + 4, height - 12) for x, label in ((to(t), _short(t)) for t in ticks)]
    for row, (line, value, name) in enumerate(zip(lines, values, names, strict=True)):
        y = ROW * row + ROW / 2 + 2
        parts.append(f'<text class="label" x="{LABELS}" y="{y + 4:.1f}" text-anchor="end">{text(_cut(name))}</text>')
        parts.append(_whisker(value, line["role"], to, y, name))
    said = f"{metric['title']} of {len(lines)} lines, with intervals; the numbers are in the table"
    return _svg(WIDTH, height, said, parts)


def scatter_plot(
    pair: Sequence[Mapping[str, Any]],
    places: Sequence[int],
    lines: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    some: Sequence[int] | None = None,
) -> Markup:
    """One metric (horizontal) against another: a dot a line, numbered as in the table, with both intervals.

    ``places`` are the indices of the ``pair`` among the values of each line, ``some`` those of the lines to draw; all by default.
    """
    drawn = range(len(lines)) if some is None else some
    values = [[lines[k]["values"][p] for p in places] for k in drawn]
    ends = [[v[i][k] for v in values for k in ("mean", "low", "high")] for i in (0, 1)]
    across, x_ticks = _axis(ends[0], EDGE + 8, SQUARE - 14)
    up, y_ticks = _axis(ends[1], SQUARE - EDGE - 8, 14)
    foot = SQUARE - EDGE
    parts = [_tick(across(t), _short(t), 8, foot, foot + 16) for t in x_ticks]
    for t in y_ticks:
        y = f"{up(t):.1f}"
        parts.append(f'<line class="grid" x1="{EDGE}" x2="{SQUARE - 8}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{EDGE - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{_short(t)}</text>')
    parts.append(
        f'<text class="name" x="{(EDGE + SQUARE) / 2:.0f}" y="{SQUARE - 8}" text-anchor="middle">{_named(pair[0])}</text>'
    )
    turned = f'transform="rotate(-90 12 {foot / 2:.0f})" x="12" y="{foot / 2:.0f}"'
    parts.append(f'<text class="name" {turned} text-anchor="middle">{_named(pair[1])}</text>')
    parts += [_point(k, v, lines[k]["role"], (across, up), names[k]) for k, v in zip(drawn, values, strict=True)]
    said = f"{pair[1]['title']} against {pair[0]['title']}, {len(drawn)} lines numbered as in the table"
    return _svg(SQUARE, SQUARE, said, parts)


def _svg(width: int, height: int, said: str, parts: Sequence[str]) -> Markup:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return Markup(f'<svg class="plot" {size} role="img" aria-label="{text(said)}">{"".join(parts)}</svg>')


def _axis(values: Sequence[float | None], start: float, end: float) -> tuple[Any, list[float]]:
    """A map from values to places, and the ticks."""
    known = [v for v in values if v is not None and math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    same = high - low <= 1e-9 * max(abs(low), abs(high))  # but for rounding
    room = (abs(high) * 0.1 or 1.0) if same else (high - low) * 0.04
    low, high = low - room, high + room
    step = _nice((high - low) / 4)
    first = math.ceil(low / step)
    ticks = [i * step for i in range(first, math.floor(high / step) + 1)]
    return lambda v: start + (v - low) / (high - low) * (end - start), ticks


def _nice(raw: float) -> float:
    unit = 10.0 ** math.floor(math.log10(raw))
    return next((m * unit for m in (1, 2, 5) if m * unit >= raw * 0.999), 10 * unit)


def _short(value: float) -> str:
    return f"{value + 0.0:.6g}".replace("-", "\u2212")


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "\u2026"


def _named(metric: Mapping[str, Any]) -> str:
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    where = ", as heard" if metric["heard"] else ""
    return text(f"{metric['title']}{where}{unit}")


def _tick(x: float, label: str, top: float, bottom: float, foot: float) -> str:
    line = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom:.1f}"/>'
    return line + f'<text class="tick" x="{x:.1f}" y="{foot:.1f}" text-anchor="middle">{label}</text>'


def _stroke(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _kind(value: Mapping[str, Any], role: str) -> str:
    return " ".join(word for word in ("mean", value.get("mark", ""), role) if word)


def _said(name: str, value: Mapping[str, Any]) -> str:
    within = "" if value["low"] is None else f" ({value['low']:.4g} to {value['high']:.4g})"
    return f"{name}: {value['mean']:.4g}{within}".replace("-", "\u2212")


def _whisker(value: Mapping[str, Any], role: str, to: Any, y: float, name: str) -> str:
    if value["mean"] is None:
        return f'<text class="tick" x="{LABELS + 14}" y="{y + 4:.1f}">not defined</text>'
    x, stroke = to(value["mean"]), ""
    if value["low"] is not None:
        stroke = _stroke("whisker", to(value["low"]), to(value["high"]), y, y)
    dot = f'<circle class="{_kind(value, role)}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return f"<g><title>{text(_said(name, value))}</title>{stroke}{dot}</g>"


def _point(k: int, values: Sequence[Mapping[str, Any]], role: str, maps: Sequence[Any], name: str) -> str:
    first, second = values
    if first["mean"] is None or second["mean"] is None:
        return ""
    to_x, to_y = maps
    x, y, strokes = to_x(first["mean"]), to_y(second["mean"]), ""
    if first["low"] is not None and second["low"] is not None:
        strokes = _stroke("whisker thin", to_x(first["low"]), to_x(first["high"]), y, y)
        strokes += _stroke("whisker thin", x, x, to_y(second["low"]), to_y(second["high"]))
    dot = f'<circle class="mean {role}" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
    number = f'<text class="number {role}" x="{x:.1f}" y="{y + 3.6:.1f}" text-anchor="middle">{k + 1}</text>'
    return f"<g><title>{text(f'{k + 1}. {name}')}</title>{strokes}{dot}{number}</g>"

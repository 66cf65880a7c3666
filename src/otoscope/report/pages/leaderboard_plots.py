"""Plots of the leaderboard page as SVG: intervals of each metric, and one metric against another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from otoscope.report.templating import showable

WIDTH, LABELS, ROW, FOOT = 440, 168, 24, 34
SQUARE, EDGE = 380, 48
LONGEST = 26


def text(value: object) -> str:
    """Text for SVG, escaped."""
    return str(escape(showable(value)))


def interval_plot(
    metric: Mapping[str, Any], place: int, lines: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Markup:
    """One metric of all lines: a dot for the mean, a stroke for the interval; the best line is filled.

    Parameters
    ----------
    metric : mapping
        ``title``.
    place : int
        Index of the metric among the values of each line.
    lines : sequence of mapping
        ``values`` and ``role`` of each, in order.
    names : sequence of str
        Names of the lines.
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
    """One metric against another: a dot a line, numbered as in the table, with both intervals.

    Parameters
    ----------
    pair : sequence of two mappings
        The horizontal and the vertical metric.
    places : sequence of two ints
        Their indices among the values of each line.
    lines : sequence of mapping
        ``values`` and ``role`` of each, in order.
    names : sequence of str
        Names of the lines.
    some : sequence of int, optional
        Indices of the lines to draw; all by default.
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
        stroke = f'<line class="whisker" x1="{to(value["low"]):.1f}" x2="{to(value["high"]):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    dot = f'<circle class="{_kind(value, role)}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return f"<g><title>{text(_said(name, value))}</title>{stroke}{dot}</g>"


def _point(k: int, values: Sequence[Mapping[str, Any]], role: str, maps: Sequence[Any], name: str) -> str:
    first, second = values
    if first["mean"] is None or second["mean"] is None:
        return ""
    x, y = maps[0](first["mean"]), maps[1](second["mean"])
    strokes = ""
    if first["low"] is not None and second["low"] is not None:
        ends = [maps[0](first["low"]), maps[0](first["high"]), maps[1](second["low"]), maps[1](second["high"])]
        strokes = (
            f'<line class="whisker thin" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<line class="whisker thin" x1="{x:.1f}" x2="{x:.1f}" y1="{ends[2]:.1f}" y2="{ends[3]:.1f}"/>'
        )
    dot = f'<circle class="mean {role}" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
    number = f'<text class="number {role}" x="{x:.1f}" y="{y + 3.6:.1f}" text-anchor="middle">{k + 1}</text>'
    return f"<g><title>{text(f'{k + 1}. {name}')}</title>{strokes}{dot}{number}</g>"

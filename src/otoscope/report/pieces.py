"""Pieces of the page as HTML; every string from outside goes through `text`."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from typing import Any

from otoscope.report.contents import Figure, Page, Sound

SPOKEN = {
    "original": ("A", "Original", "the whole sound"),
    "kept": ("B", "Kept", "what the network used"),
    "removed": ("C", "Removed", "what it ignored"),
}
TRUST = {
    "good": ("Good", "The kept sound carries the answer."),
    "doubtful": ("Doubtful", "Read this with care."),
    "poor": ("Poor", "Do not rely on this."),
}
ICONS = '<svg><use class="go" href="#icon-go"/><use class="hold" href="#icon-hold"/></svg>'
LISTED = 24  # values of a list that the record shows; the copy button copies all


def text(value: object) -> str:
    """Text for HTML: escaped; what cannot be shown or stored (control characters, lone surrogates) is replaced."""
    seen = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", str(value))
    return html.escape(seen)


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def percent(value: float | None) -> str:
    """A probability in percent; never rounded to 0 or 100."""
    value = _known(value)
    if value is None:
        return "\u2013"
    share = 100 * value
    if 0 < share < 0.1:
        return "&lt;0.1\u202f%"
    if 99.9 < share < 100:
        return "&gt;99.9\u202f%"
    digits = 1 if 0 < share < 9.95 or 99 < share < 100 else 0
    return f"{share:.{digits}f}\u202f%"


def _number(value: float | None, unit: str = "") -> str:
    value = _known(value)
    if value is None:
        return '<span class="none">not defined</span>'
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return shown.replace("-", "\u2212") + (f'<span class="unit">\u202f{text(unit)}</span>' if unit else "")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def facts(page: Page) -> str:
    """Length, rate and channels in words."""
    channels = {1: "mono", 2: "stereo"}.get(page.channels, f"{page.channels} channels")
    length = f"{page.duration:.3g} s" if page.duration < 60 else clock(page.duration)
    return f"{length} \u00b7 {page.sample_rate / 1000:g} kHz \u00b7 {channels}"


def eyebrow(page: Page) -> str:
    """The line above the headline: whose answer it is."""
    first = page.sounds[0].top[:1]
    if not first or first[0][0] == page.target:
        return "The network says"
    return f"Explained answer \u00b7 its first was <bdi>{text(first[0][0])}</bdi>, {percent(first[0][1])}"


def _bar(value: float | None) -> str:
    width = 100 * min(max(_known(value) or 0.0, 0.0), 1.0)
    return (
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="1"/><rect class="fill" width="{width:.2f}" height="1"/></svg>'
    )


def warnings_html(warnings: Iterable[str]) -> str:
    """The warnings as a list."""
    items = "".join(f"<li>{text(warning)}</li>" for warning in warnings)
    if not items:
        return ""
    return (
        '<section class="warnings" role="alert"><svg class="icon" aria-hidden="true"><use href="#icon-doubtful"/></svg>'
        f"<div><h2>Before you rely on this</h2><ul>{items}</ul></div></section>"
    )


def card_html(page: Page, sound: Sound) -> str:
    """The big button of one sound."""
    letter, name, what = SPOKEN[sound.key]
    what = getattr(page.words, sound.key, what)
    score = page.heard.get(sound.key)
    score = page.scores.get(sound.key) if score is None else score
    first = sound.key == "original"
    chosen = 'aria-checked="true" tabindex="0"' if first else 'aria-checked="false" tabindex="-1"'
    return f"""<button type="button" class="sound {sound.key}" role="radio" data-key="{sound.key}" {chosen}>
<span class="disc" aria-hidden="true">{ICONS}</span>
<span class="name">{name}<kbd aria-hidden="true">{letter}</kbd></span><span class="what">{text(what)}</span>
<span class="score">{percent(score)}</span><span class="class"><bdi>{text(page.target)}</bdi></span>
{_bar(score)}</button>"""


def note_html(note: str) -> str:
    """A paragraph, or nothing."""
    return f"<p>{text(note)}</p>" if note else ""


def score_html(page: Page, key: str) -> str:
    """A row of the table of scores."""
    values = (page.scores.get(key), page.heard.get(key))
    cells = "".join(f"<td><b>{percent(value)}</b>{_bar(value)}</td>" for value in values)
    return f'<tr class="{key}"><th scope="row"><i class="dot" aria-hidden="true"></i>{SPOKEN[key][1]}</th>{cells}</tr>'


def top_html(page: Page, sound: Sound) -> str:
    """A row of the likeliest labels."""
    rows = []
    for label, probability in sound.top:
        mine = label == page.target
        mark = ' class="target"' if mine else ""
        note = '<span class="hidden"> (the explained label)</span>' if mine else ""
        rows.append(
            f"<li{mark}><span><bdi>{text(label)}</bdi>{note}</span><b>{percent(probability)}</b>{_bar(probability)}</li>"
        )
    body = f"<ol>{''.join(rows)}</ol>" if rows else '<p class="none">No labels.</p>'
    head = f'<h3><i class="dot" aria-hidden="true"></i>{SPOKEN[sound.key][1]}</h3>'
    return f'<div class="top5 {sound.key}">{head}{body}</div>'


def figure_html(figure: Figure) -> str:
    """One metric."""
    arrow = {"higher": "\u2191 higher is better", "lower": "\u2193 lower is better"}.get(figure.better, "")
    better = f'<span class="better">{arrow}</span>' if arrow else ""
    heard = '<span class="chip">as heard</span>' if figure.heard else ""
    title = text(figure.title or figure.name)
    short = f"<code>{text(figure.name)}</code>" if figure.title else ""
    return (
        f'<div class="figure"><dt>{title} {short}{heard}</dt>'
        f'<dd class="value">{_number(figure.value, figure.unit)}</dd>'
        f'<dd class="meaning">{text(figure.meaning)} {better}</dd></div>'
    )


def tree(value: Any) -> str:
    """The record: scalars in one line, nested tables folded."""
    if isinstance(value, dict):
        rows = "".join(f"<div><dt>{text(k)}</dt><dd>{_branch(v)}</dd></div>" for k, v in value.items())
        return f'<dl class="tree">{rows}</dl>' if rows else '<span class="none">empty</span>'
    if isinstance(value, list) and value:
        more = f' <span class="none">and {len(value) - LISTED} more</span>' if len(value) > LISTED else ""
        shown = value[:LISTED]
        return (tree(dict(enumerate(shown))) if _nested(value) else ", ".join(map(tree, shown))) + more
    if value is None or value == []:
        return f'<span class="none">{"none" if value is None else "empty"}</span>'
    return text(str(value).lower() if isinstance(value, bool) else value)


def _branch(value: Any) -> str:
    if not (value and _nested(value)):
        return tree(value)
    count = f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return f"<details><summary>{count}</summary>{tree(value)}</details>"


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))

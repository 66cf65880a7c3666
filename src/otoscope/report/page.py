"""The report page: one HTML file on which a person listens to an explanation and looks at it.

Nothing is computed here: `render` encodes what it is given and puts it into the page. Arrays are ``(freq, frame)``,
low frequency and early time first; frequencies in Hz, times in s, levels in dB, scores are probabilities in [0, 1].
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np

from otoscope.core.errors import ParameterError, ShapeError

KEYS = ("original", "kept", "removed")
SCRIPTS = ("player.js", "canvas.js", "page.js")
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


@dataclass(frozen=True, eq=False)
class Sound:
    """One of the three sounds.

    Parameters
    ----------
    key : {"original", "kept", "removed"}
    audio : bytes or None
        The encoded sound, embedded in the page; None when it is linked.
    mime : str
        Its media type, e.g. ``"audio/flac"``.
    href : str or None
        For sounds too long to embed: a path relative to the page, as plain text (it is quoted here).
    gain : float
        Decoded samples times this are the true samples.
    match_gain : float
        Linear gain that brings the true samples to the level of the original; bounded by the caller.
    rms_db : float, dB
        Level; may be ``-inf``.
    spectrogram : ndarray uint8 (freq, frame)
        Row 0 is 0 Hz and the last row ``top_hz``, evenly spaced in Hz; the frames share the duration evenly.
        0 is ``floor_db``, 255 ``ceil_db``.
    peaks : ndarray (2, n)
        Minima and maxima of the true samples in n equal stretches.
    top : tuple of (label, probability)
        The likeliest labels, most likely first.
    """

    key: str
    audio: bytes | None
    mime: str
    href: str | None
    gain: float
    match_gain: float
    rms_db: float
    spectrogram: np.ndarray
    peaks: np.ndarray
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Figure:
    """One metric, as the page shows it.

    Parameters
    ----------
    name : str
        Its short name, e.g. ``"AD"``.
    value : float or None
        None, NaN and infinities show as "not defined".
    unit : str
    meaning : str
        One line.
    better : {"higher", "lower", ""}
    heard : bool
        Measured on the written sound, not in the domain.
    title : str
        Its name in words.
    """

    name: str
    value: float | None
    unit: str
    meaning: str
    better: str
    heard: bool = False
    title: str = ""


@dataclass(frozen=True, eq=False)
class Page:
    """All that a report shows.

    Parameters
    ----------
    title, file, target, verdict : str
        Window title, name of the sound, explained label, one honest sentence.
    trust : {"good", "doubtful", "poor"}
    warnings : tuple of str
        Why the explanation should not be relied on; empty when nothing is known against it.
    duration : float, s
    sample_rate : int, Hz
    channels : int
    top_hz : float, Hz
        Highest frequency of the spectrograms.
    floor_db, ceil_db : float, dB
        Levels of spectrogram values 0 and 255.
    sounds : tuple of Sound
        Original, kept, removed.
    attribution, mask : ndarray (freq, frame)
        Signed, and in [0, 1]; stored as float32.
    frequencies, times : ndarray (freq,) Hz, (frame,) s
        Centres of the cells, rising. One band covers the full height.
    scores, heard : dict
        Probability of the target for original, kept, removed: in the domain, and of the written sound.
    figures : tuple of Figure
    record : dict
        The whole record, JSON-able.
    """

    title: str
    file: str
    target: str
    verdict: str
    trust: str
    warnings: tuple[str, ...]
    duration: float
    sample_rate: int
    channels: int
    top_hz: float
    floor_db: float
    ceil_db: float
    sounds: tuple[Sound, Sound, Sound]
    attribution: np.ndarray
    mask: np.ndarray
    frequencies: np.ndarray
    times: np.ndarray
    scores: Mapping[str, float]
    heard: Mapping[str, float]
    figures: tuple[Figure, ...]
    record: Mapping[str, Any]


def render(page: Page) -> str:
    """The page as one HTML text that needs nothing else (but the linked sounds, where there are any).

    Parameters
    ----------
    page : Page

    Returns
    -------
    str
        Write it as UTF-8, or give it to an iframe's ``srcdoc``.

    Raises
    ------
    ShapeError
        Arrays that do not fit together.
    ParameterError
        A sound that is neither embedded nor linked, or words outside their choices.
    """
    _check(page)
    style = _asset("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();\n"
    return Template(_asset("page.html")).substitute(
        csp=html.escape(_policy(style, script)),
        style=style,
        script=script,
        data=_json(_data(page)),
        title=_text(page.title),
        file=_text(page.file),
        facts=_text(_facts(page)),
        target=_text(page.target),
        eyebrow=_eyebrow(page),
        sure=_percent(page.scores.get("original")),
        verdict=_text(page.verdict),
        trust=page.trust,
        trust_word=TRUST[page.trust][0],
        trust_note=TRUST[page.trust][1],
        warnings=_warnings(page.warnings),
        cards="\n".join(_card(page, sound) for sound in page.sounds),
        length=_clock(page.duration),
        scores="\n".join(_score(page, key) for key in KEYS),
        tops="\n".join(_top(page, sound) for sound in page.sounds),
        figures="\n".join(map(_figure, page.figures)) or '<p class="none">No metrics were measured.</p>',
        record=_tree(_plain(page.record)),
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def _check(page: Page) -> None:
    if page.trust not in TRUST:
        raise ParameterError(f"trust is one of {', '.join(TRUST)}; got {page.trust!r}")
    keys = tuple(sound.key for sound in page.sounds)
    if keys != KEYS:
        raise ParameterError(f"a page has the sounds {', '.join(KEYS)}, in this order; got {', '.join(keys) or 'none'}")
    for name in ("duration", "sample_rate", "top_hz"):
        value = float(getattr(page, name))
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(f"a page's {name} must be a positive number; got {value!r}")
    for sound in page.sounds:
        _check_sound(sound)
    for name in ("frequencies", "times"):
        shape = np.shape(getattr(page, name))
        if len(shape) != 1 or not shape[0]:
            raise ShapeError(f"{name} is one row of cell centres; got shape {shape}")
    grid = (len(page.frequencies), len(page.times))
    for name in ("attribution", "mask"):
        shape = np.shape(getattr(page, name))
        if shape != grid:
            raise ShapeError(f"{name} has shape {shape} but there are {grid[0]} frequencies and {grid[1]} times")


def _check_sound(sound: Sound) -> None:
    shape, dtype = np.shape(sound.spectrogram), np.asarray(sound.spectrogram).dtype
    if len(shape) != 2 or 0 in shape or dtype != np.uint8:
        raise ShapeError(f"the spectrogram of {sound.key} is uint8 (freq, frame); got {dtype} with shape {shape}")
    shape = np.shape(sound.peaks)
    if len(shape) != 2 or shape[0] != 2 or shape[1] == 0:
        raise ShapeError(f"the peaks of {sound.key} are (2, n), minima and maxima; got shape {shape}")
    if sound.audio is None and not sound.href:
        raise ParameterError(f"the sound {sound.key} is neither embedded (audio) nor linked (href)")


# --- the data that the script reads ---------------------------------------------------------------------------------


def _data(page: Page) -> dict[str, Any]:
    names = ("file", "target", "duration", "sample_rate", "top_hz", "floor_db", "ceil_db")
    return {
        **{name: _plain(getattr(page, name)) for name in names},
        "sounds": [_sound(sound) for sound in page.sounds],
        "attribution": _array(page.attribution, "<f4"),
        "mask": _array(page.mask, "<f4"),
        "frequencies": _array(page.frequencies, "<f8"),
        "times": _array(page.times, "<f8"),
        "record": _plain(page.record),
    }


def _sound(sound: Sound) -> dict[str, Any]:
    return {
        "key": sound.key,
        "name": SPOKEN[sound.key][1],
        "mime": sound.mime,
        "audio": None if sound.audio is None else base64.b64encode(sound.audio).decode("ascii"),
        "href": "./" + quote(sound.href, safe="/", errors="surrogateescape") if sound.href else None,
        "gain": _plain(sound.gain),
        "match_gain": _plain(sound.match_gain),
        "rms_db": _plain(sound.rms_db),
        "spectrogram": _array(sound.spectrogram, "u1"),
        "peaks": _array(sound.peaks, "<f4"),
    }


def _array(values: np.ndarray, dtype: str) -> dict[str, Any]:
    """Little-endian bytes in base64, with their shape."""
    values = np.ascontiguousarray(values, dtype=dtype)
    return {"shape": list(values.shape), "dtype": dtype, "base64": base64.b64encode(values.tobytes()).decode("ascii")}


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinities become null, what is no number, list or mapping its text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _json(value: Any) -> str:
    """JSON that cannot end a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(style: str, script: str) -> str:
    """Content security policy: our script and style by their hashes, sounds beside the page, nothing from elsewhere."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"

    return (
        f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; img-src data: blob:; "
        "media-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


# --- pieces of the page; every string from outside goes through `_text` ---------------------------------------------


def _text(value: object) -> str:
    """Text for HTML: escaped; what cannot be shown or stored (control characters, lone surrogates) is replaced."""
    seen = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", str(value))
    return html.escape(seen)


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _percent(value: float | None) -> str:
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
    return shown.replace("-", "\u2212") + (f'<span class="unit">\u202f{_text(unit)}</span>' if unit else "")


def _clock(seconds: float) -> str:
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def _facts(page: Page) -> str:
    channels = {1: "mono", 2: "stereo"}.get(page.channels, f"{page.channels} channels")
    length = f"{page.duration:.3g} s" if page.duration < 60 else _clock(page.duration)
    return f"{length} \u00b7 {page.sample_rate / 1000:g} kHz \u00b7 {channels}"


def _eyebrow(page: Page) -> str:
    first = page.sounds[0].top[:1]
    if not first or first[0][0] == page.target:
        return "The network says"
    return f"Explained answer \u00b7 its first was <bdi>{_text(first[0][0])}</bdi>, {_percent(first[0][1])}"


def _bar(value: float | None) -> str:
    width = 100 * min(max(_known(value) or 0.0, 0.0), 1.0)
    return (
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="1"/><rect class="fill" width="{width:.2f}" height="1"/></svg>'
    )


def _warnings(warnings: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    if not items:
        return ""
    return (
        '<section class="warnings" role="alert"><svg class="icon" aria-hidden="true"><use href="#icon-doubtful"/></svg>'
        f"<div><h2>Before you rely on this</h2><ul>{items}</ul></div></section>"
    )


def _card(page: Page, sound: Sound) -> str:
    letter, name, what = SPOKEN[sound.key]
    score = page.heard.get(sound.key)
    score = page.scores.get(sound.key) if score is None else score
    first = sound.key == "original"
    chosen = 'aria-checked="true" tabindex="0"' if first else 'aria-checked="false" tabindex="-1"'
    return f"""<button type="button" class="sound {sound.key}" role="radio" data-key="{sound.key}" {chosen}>
<span class="disc" aria-hidden="true">{ICONS}</span>
<span class="name">{name}<kbd aria-hidden="true">{letter}</kbd></span><span class="what">{what}</span>
<span class="score">{_percent(score)}</span><span class="class"><bdi>{_text(page.target)}</bdi></span>
{_bar(score)}</button>"""


def _score(page: Page, key: str) -> str:
    values = (page.scores.get(key), page.heard.get(key))
    cells = "".join(f"<td><b>{_percent(value)}</b>{_bar(value)}</td>" for value in values)
    return f'<tr class="{key}"><th scope="row"><i class="dot" aria-hidden="true"></i>{SPOKEN[key][1]}</th>{cells}</tr>'


def _top(page: Page, sound: Sound) -> str:
    rows = []
    for label, probability in sound.top:
        mine = label == page.target
        mark = ' class="target"' if mine else ""
        note = '<span class="hidden"> (the explained label)</span>' if mine else ""
        rows.append(
            f"<li{mark}><span><bdi>{_text(label)}</bdi>{note}</span><b>{_percent(probability)}</b>{_bar(probability)}</li>"
        )
    body = f"<ol>{''.join(rows)}</ol>" if rows else '<p class="none">No labels.</p>'
    head = f'<h3><i class="dot" aria-hidden="true"></i>{SPOKEN[sound.key][1]}</h3>'
    return f'<div class="top5 {sound.key}">{head}{body}</div>'


def _figure(figure: Figure) -> str:
    arrow = {"higher": "\u2191 higher is better", "lower": "\u2193 lower is better"}.get(figure.better, "")
    better = f'<span class="better">{arrow}</span>' if arrow else ""
    heard = '<span class="chip">as heard</span>' if figure.heard else ""
    title = _text(figure.title or figure.name)
    short = f"<code>{_text(figure.name)}</code>" if figure.title else ""
    return (
        f'<div class="figure"><dt>{title} {short}{heard}</dt>'
        f'<dd class="value">{_number(figure.value, figure.unit)}</dd>'
        f'<dd class="meaning">{_text(figure.meaning)} {better}</dd></div>'
    )


def _tree(value: Any) -> str:
    """The record: scalars in one line, nested tables folded."""
    if isinstance(value, dict):
        rows = "".join(f"<div><dt>{_text(k)}</dt><dd>{_branch(v)}</dd></div>" for k, v in value.items())
        return f'<dl class="tree">{rows}</dl>' if rows else '<span class="none">empty</span>'
    if isinstance(value, list) and value:
        more = f' <span class="none">and {len(value) - LISTED} more</span>' if len(value) > LISTED else ""
        shown = value[:LISTED]
        return (_tree(dict(enumerate(shown))) if _nested(value) else ", ".join(map(_tree, shown))) + more
    if value is None or value == []:
        return f'<span class="none">{"none" if value is None else "empty"}</span>'
    return _text(str(value).lower() if isinstance(value, bool) else value)


def _branch(value: Any) -> str:
    if not (value and _nested(value)):
        return _tree(value)
    count = f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return f"<details><summary>{count}</summary>{_tree(value)}</details>"


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))

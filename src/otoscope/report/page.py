"""The report page: one HTML file on which a person listens to an explanation and looks at it.

Nothing is computed here: `render` encodes what it is given and puts it into the page. Arrays are ``(freq, frame)``,
low frequency and early time first; frequencies in Hz, times in s, levels in dB, scores are probabilities in [0, 1].
"""

from __future__ import annotations

import base64
import html
from string import Template
from typing import Any
from urllib.parse import quote

from otoscope.core.jsonable import to_jsonable
from otoscope.report.contents import KEYS, Figure, Page, Sound, check
from otoscope.report.embed import array, asset, json_text, pieces, policy, script_of
from otoscope.report.pieces import (
    SPOKEN,
    TRUST,
    card_html,
    clock,
    eyebrow,
    facts,
    figure_html,
    note_html,
    percent,
    score_html,
    text,
    top_html,
    tree,
    warnings_html,
)

__all__ = ["Figure", "Page", "Sound", "render"]

SCRIPTS = ("theme.js", "player.js", "canvas.js", "stage.js", "overlay.js", "page.js")


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
    check(page)
    style = asset("page.css")
    script = script_of(SCRIPTS)
    return Template(asset("page.html")).substitute(
        csp=html.escape(policy(style, script)),
        style=style,
        script=script,
        data=json_text(_data(page)),
        title=text(page.title),
        file=text(page.file),
        facts=text(facts(page)),
        target=text(page.target),
        eyebrow=eyebrow(page),
        sure=percent(page.scores.get("original")),
        verdict=text(page.verdict),
        trust=page.trust,
        trust_word=TRUST[page.trust][0],
        trust_note=TRUST[page.trust][1],
        warnings=warnings_html(page.warnings),
        cards="\n".join(card_html(page, sound) for sound in page.sounds),
        **pieces(clock(page.duration)),
        **{f"word_{name}": text(word) for name, word in vars(page.words).items()},
        note=note_html(page.words.note),
        scores="\n".join(score_html(page, key) for key in KEYS),
        tops="\n".join(top_html(page, sound) for sound in page.sounds),
        figures="\n".join(map(figure_html, page.figures)) or '<p class="none">No metrics were measured.</p>',
        record=tree(to_jsonable(page.record)),
    )


# --- the data that the script reads ---------------------------------------------------------------------------------


def _data(page: Page) -> dict[str, Any]:
    names = ("file", "target", "duration", "sample_rate", "top_hz", "floor_db", "ceil_db")
    return {
        **{name: to_jsonable(getattr(page, name)) for name in names},
        "sounds": [_sound(sound) for sound in page.sounds],
        "attribution": array(page.attribution, "<f4"),
        "mask": array(page.mask, "<f4"),
        "frequencies": array(page.frequencies, "<f8"),
        "times": array(page.times, "<f8"),
        "words": vars(page.words),
        "rows": list(page.rows),
        "record": to_jsonable(page.record),
    }


def _sound(sound: Sound) -> dict[str, Any]:
    return {
        "key": sound.key,
        "name": SPOKEN[sound.key][1],
        "mime": sound.mime,
        "audio": None if sound.audio is None else base64.b64encode(sound.audio).decode("ascii"),
        "href": "./" + quote(sound.href, safe="/", errors="surrogateescape") if sound.href else None,
        "gain": to_jsonable(sound.gain),
        "match_gain": to_jsonable(sound.match_gain),
        "rms_db": to_jsonable(sound.rms_db),
        "spectrogram": array(sound.spectrogram, "u1"),
        "peaks": array(sound.peaks, "<f4"),
    }

"""The page of an explanation: one HTML file on which a person listens and looks. Nothing is computed here."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.jsonable import to_jsonable
from otoscope.explanation.explanation import Explanation
from otoscope.report.formatting import kilohertz, seconds
from otoscope.report.pages.explanation_contents import SOUNDS, TRUST, Page, PageSound, build_page, check
from otoscope.report.templating import array, quoted, render_page

SCRIPTS = ("theme.js", "player.js", "canvas.js", "stage.js", "overlay.js", "explanation.js")


@registry.register("view", "html", summary="The report: one page on which a person listens and looks.")
def to_html(explanation: Explanation, linked: dict[str, Path] | None = None) -> str:
    """The report of an explanation as one HTML text; ``linked`` as `build_page` takes it."""
    return render(build_page(explanation, linked))


@registry.register("view", "notebook", summary="The report in a frame, for notebooks.")
def notebook(explanation: Explanation) -> str:
    """The report inside an iframe, so that its style and script touch nothing else."""
    page = html.escape(to_html(explanation), quote=True)
    return f'<iframe srcdoc="{page}" title="Otoscope report" style="width:100%;height:820px;border:0"></iframe>'


def render(page: Page) -> str:
    """The page as one HTML text that needs no other file, except sounds that are linked.

    Parameters
    ----------
    page : Page
        Contents of the page.

    Returns
    -------
    str
        Write it as UTF-8, or give it to an iframe's ``srcdoc``.

    Raises
    ------
    ShapeError
        Arrays that do not fit together.
    ParameterError
        A sound that is neither embedded nor linked, or a value outside its choices.

    Examples
    --------
    >>> page = build_page(otoscope.explain("bark.wav", method="gradient"))
    >>> render(page)[:15]
    '<!doctype html>'
    """
    check(page)
    return render_page(
        "explanation.html.jinja",
        styles=("page.css",),
        scripts=SCRIPTS,
        data=_data(page),
        title=page.title,
        page=page,
        record=to_jsonable(page.record),
        facts=_facts(page),
        sounds=SOUNDS,
        trust=TRUST[page.trust],
    )


def _facts(page: Page) -> str:
    """Length, rate and channels in words."""
    channels = {1: "mono", 2: "stereo"}.get(page.channels, f"{page.channels} channels")
    length = f"{page.duration:.3g} s" if page.duration < 60 else seconds(page.duration)
    return f"{length} \u00b7 {kilohertz(page.sample_rate)} \u00b7 {channels}"


def _data(page: Page) -> dict[str, Any]:
    """What the page's script reads."""
    names = ("file", "target", "duration", "sample_rate", "top_hz", "floor_db", "ceil_db", "rows", "record")
    return {
        **{name: to_jsonable(getattr(page, name)) for name in names},
        "captions": vars(page.captions),
        "sounds": [_sound(sound) for sound in page.sounds],
        "attribution": array(page.attribution, "<f4"),
        "mask": array(page.mask, "<f4"),
        "frequencies": array(page.frequencies, "<f8"),
        "times": array(page.times, "<f8"),
    }


def _sound(sound: PageSound) -> dict[str, Any]:
    return {
        "key": sound.key,
        "name": SOUNDS[sound.key][1],
        "mime": sound.mime,
        "audio": None if sound.audio is None else base64.b64encode(sound.audio).decode("ascii"),
        "href": "./" + quoted(sound.href) if sound.href else None,
        "gain": to_jsonable(sound.gain),
        "match_gain": to_jsonable(sound.match_gain),
        "rms_db": to_jsonable(sound.rms_db),
        "spectrogram": array(sound.spectrogram, "u1"),
        "peaks": array(sound.peaks, "<f4"),
    }

"""From an `Explanation` to what the page shows: encoded sounds, pictures, numbers with their meaning."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import close_audio, downmix, encode, open_audio, resample
from otoscope.core import registry
from otoscope.explanation.explanation import PARTS, Explanation
from otoscope.explanation.explainers import DESCRIBES
from otoscope.report.contents import Words
from otoscope.report.page import Figure, Page, Sound, render
from otoscope.report.picture import CEIL_DB, COLUMNS, FLOOR_DB, SoundPicture, match_gain, picture_of

EMBED_S = 180.0
PLAYABLE_HZ = (8000, 48000)
GIVEN = Words(
    kept="what the autoencoder gives",
    removed="the original minus that",
    against="softer",
    favour="louder",
    unit="dB",
    dark="softer",
    bright="as loud",
    scored="as it was made",
    column="As made",
    note=f"{DESCRIBES[0].upper()}{DESCRIBES[1:]}.",
)


@registry.register("view", "html", summary="The report: one page on which a person listens and looks.")
def to_html(explanation: Explanation, linked: dict[str, Path] | None = None) -> str:
    """The report of an explanation as one HTML text."""
    page = render(build_page(explanation, linked))
    return page.encode("utf-8", "backslashreplace").decode("utf-8")  # file names may hold bytes that are no text


@registry.register("view", "notebook", summary="The report in a frame, for notebooks.")
def notebook(explanation: Explanation) -> str:
    """The report inside an iframe, so that its style and script touch nothing else."""
    page = html.escape(to_html(explanation), quote=True)
    return f'<iframe srcdoc="{page}" title="Otoscope report" style="width:100%;height:820px;border:0"></iframe>'


def build_page(explanation: Explanation, linked: dict[str, Path] | None = None) -> Page:
    """All that the page shows.

    Parameters
    ----------
    explanation : Explanation
    linked : dict, optional
        Files of the three sounds beside the page; used for sounds over three minutes, which are not embedded.
    """
    source, verdict, index = explanation.source, explanation.verdict(), explanation.target.index
    pictures = {part: _picture(explanation, part, linked) for part in PARTS}
    grid, name = explanation.mask.grid, Path(source.source).name
    seen = _thin(grid.times)
    return Page(
        title=f"{explanation.target.label} in {name}",
        file=name,
        target=explanation.target.label,
        verdict=verdict.sentence,
        trust=verdict.trust,
        warnings=verdict.warnings,
        duration=source.duration,
        sample_rate=source.sample_rate,
        channels=source.channels,
        top_hz=source.sample_rate / 2,
        floor_db=FLOOR_DB,
        ceil_db=CEIL_DB,
        sounds=tuple(_sound(explanation, part, pictures, linked) for part in PARTS),  # type: ignore[arg-type]
        attribution=explanation.attribution.values[:, seen],
        mask=explanation.mask.values[:, seen],
        frequencies=grid.frequencies,
        times=grid.times[seen],
        scores=explanation.scores.of(index),
        heard=explanation.heard.of(index),
        figures=tuple(figures(explanation.metrics())),
        record=explanation.record(),
        words=Words() if explanation.generated is None else GIVEN,
        rows=grid.rows,
    )


def figures(metrics: dict[str, float]) -> list[Figure]:
    """The metrics with their meaning, from the registry."""
    out = []
    for name, value in metrics.items():
        heard = name.startswith("heard_")
        entry = registry.get("metric", name.removeprefix("heard_"))
        better = "higher" if entry.facts["higher_is_better"] else "lower"
        title = entry.name.replace("_", " ").capitalize()
        out.append(Figure(entry.facts["short"], value, entry.facts["unit"], entry.facts["means"], better, heard, title))
    return out


def _picture(explanation: Explanation, part: str, linked: dict[str, Path] | None) -> SoundPicture:
    source = explanation.source
    sound: Any = source if part == "original" else _part(explanation, part, linked)
    try:
        return picture_of(sound, source.frames, source.sample_rate)
    finally:
        if sound is not source:
            close_audio(sound)


def _part(explanation: Explanation, part: str, linked: dict[str, Path] | None) -> Any:
    long = explanation.source.duration > EMBED_S
    return open_audio(linked[part]) if long and linked is not None else getattr(explanation, part)


def _sound(
    explanation: Explanation, part: str, pictures: dict[str, SoundPicture], linked: dict[str, Path] | None
) -> Sound:
    picture, source = pictures[part], explanation.source
    data, href, gain = None, None, 1.0
    if source.duration > EMBED_S and linked is not None:
        href = linked[part].name
    else:
        samples = source.read(0, source.frames) if part == "original" else getattr(explanation, part).samples
        data, gain = _playable(samples, source.sample_rate)
    return Sound(
        key=part,
        audio=data,
        mime="audio/flac" if data is not None else "audio/wav",
        href=href,
        gain=gain,
        match_gain=match_gain(picture, pictures["original"]),
        rms_db=picture.rms_db,
        spectrogram=picture.image(),
        peaks=picture.outline,
        top=tuple((t["label"], t["score"]) for t in explanation.top(part)),
    )


def _playable(samples: np.ndarray, sample_rate: int) -> tuple[bytes, float]:
    """FLAC that every browser plays: one or two channels, a rate that it knows."""
    if samples.shape[0] > 2:
        samples = downmix(samples)[None]
    rate = min(max(sample_rate, PLAYABLE_HZ[0]), PLAYABLE_HZ[1])
    return encode(resample(samples, sample_rate, rate), rate)


def _thin(times: np.ndarray) -> np.ndarray:
    """Which frames of a grid the page shows: all, or so many as it has columns."""
    return np.unique(np.linspace(0, len(times) - 1, min(len(times), 4 * COLUMNS)).round().astype(int))

"""From an explanation to what the page shows."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import otoscope
from otoscope.audio import write_wav
from otoscope.explanation.explanation import PARTS
from otoscope.report.pages.explanation_contents import (
    GENERATED,
    MASKED,
    SOUNDS,
    TRUST,
    build_page,
    captions_of,
    figures,
)
from worlds import RATE, band_energy, tone, tone_and_decoy


def made(samples, rate=RATE, **options):
    return otoscope.explain(samples, band_energy(), sample_rate=rate, **{"method": "input_x_gradient", **options})


@pytest.fixture(scope="module")
def e():
    return made(np.stack([tone_and_decoy(1.0)] * 2), mask="positive:threshold:0.25", target="tone")


@pytest.fixture(scope="module")
def page(e):
    return build_page(e)


def decoded(sound):
    samples, rate = soundfile.read(io.BytesIO(sound.audio), dtype="float32", always_2d=True)
    return samples.T * np.float32(sound.gain), rate


def test_numbers_are_those_of_the_explanation(e, page):
    assert (page.target, page.duration, page.sample_rate, page.channels) == ("tone", 1.0, RATE, 2)
    assert page.scores == e.scores.of(0)
    assert page.heard == e.heard.of(0)
    assert page.trust == e.verdict().trust
    assert page.verdict == e.verdict().sentence
    assert page.record["audio"]["sha256"] == e.source.digest()
    np.testing.assert_array_equal(page.mask, e.mask.values)
    np.testing.assert_array_equal(page.attribution, e.attribution.values)


def test_components_have_names_instead_of_frequencies():
    e = made(tone_and_decoy(1.0), method="occlusion", domain="components,n=2", target="tone")
    page = build_page(e)
    assert page.rows == e.mask.grid.rows
    assert page.record["domain"]["rows"] == list(page.rows)
    assert [r.split(" (")[0] for r in page.rows] == ["NMF 1", "NMF 2", "residual"]
    assert page.mask.shape == (3, 1)


def test_the_embedded_sounds_are_the_sounds(e, page):
    for sound, wanted in zip(page.sounds, (e.source.samples, e.kept.samples, e.removed.samples), strict=True):
        samples, rate = decoded(sound)
        assert rate == RATE
        np.testing.assert_allclose(samples, wanted, atol=2**-14)


def test_a_sound_that_clips_is_scaled_and_its_gain_told():
    page = build_page(made(4 * tone(1000, 0.3)))
    assert page.sounds[0].gain == pytest.approx(1.2, abs=0.01)
    assert np.abs(decoded(page.sounds[0])[0]).max() == pytest.approx(1.2, abs=0.01)
    assert page.sounds[0].peaks.max() == pytest.approx(1.2, abs=0.01)


@pytest.mark.parametrize(("rate", "shown"), [(100, 8000), (8000, 8000), (44100, 44100), (384_000, 48_000)])
def test_every_rate_becomes_one_that_browsers_play(rate, shown):
    page = build_page(made(0.1 * np.random.default_rng(0).standard_normal(round(0.2 * rate)), rate))
    samples, found = decoded(page.sounds[0])
    assert found == shown
    assert samples.shape[1] == pytest.approx(0.2 * shown, abs=1)
    assert page.sample_rate == rate


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 2), (5, 1), (100, 1)])
def test_more_channels_than_two_are_played_as_their_mean(channels, shown):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, 1600)).astype(np.float32)
    page = build_page(made(samples))
    found, _ = decoded(page.sounds[0])
    assert found.shape[0] == shown
    if channels > 2:
        np.testing.assert_allclose(found[0], samples.mean(0), atol=2**-14)
    assert page.channels == channels


def test_levels_and_their_match(e, page):
    for sound, clip in zip(page.sounds, (e.source, e.kept, e.removed), strict=True):
        rms = math.sqrt(np.square(clip.samples, dtype=np.float64).mean())
        assert sound.rms_db == pytest.approx(20 * math.log10(rms), abs=1e-3)
        own = math.sqrt(np.square(e.source.samples, dtype=np.float64).mean())
        assert sound.match_gain == pytest.approx(own / rms, rel=1e-3)
    assert page.sounds[0].match_gain == 1


def test_the_match_of_a_very_soft_part_is_bounded():
    page = build_page(made(tone(1000, 0.3), target="decoy", mask="topk:0.001"))
    assert max(s.match_gain for s in page.sounds) <= 10 ** (30 / 20) + 1e-9
    assert all(math.isfinite(s.match_gain) for s in page.sounds)


def test_silence_has_a_page():
    page = build_page(made(np.zeros(1600)))
    for sound in page.sounds:
        assert sound.rms_db == -math.inf
        assert sound.match_gain == 1
        assert not sound.spectrogram.any()
        assert not sound.peaks.any()
    assert page.trust == "poor"


def test_the_spectrogram_has_the_tone_where_it_sounds(page):
    picture = page.sounds[0].spectrogram
    assert picture.dtype == np.uint8
    hz = np.linspace(0, page.top_hz, len(picture))
    early, late = picture[:, : picture.shape[1] // 3].mean(1), picture[:, -picture.shape[1] // 3 :].mean(1)
    low, high = np.abs(hz - 1000).argmin(), np.abs(hz - 3000).argmin()
    assert early[low] > late[low] + 30
    assert abs(early[high] - late[high]) < 10
    kept = page.sounds[1].spectrogram[:, : picture.shape[1] // 3].mean(1)
    assert kept[low] > kept[high] + 30


def test_pictures_do_not_depend_on_the_blocks(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 70 * RATE)).astype(np.float32)
    path = write_wav(tmp_path / "a.wav", samples, RATE)
    streamed = otoscope.explain(path, band_energy(), method="input_x_gradient")
    whole = made(samples)
    for one, two in zip(build_page(streamed).sounds, build_page(whole).sounds, strict=True):
        np.testing.assert_allclose(one.peaks, two.peaks, atol=1e-6)
        assert one.spectrogram.shape == two.spectrogram.shape
        assert (one.spectrogram != two.spectrogram).mean() < 0.01


def test_very_long_sounds_are_linked_not_embedded(tmp_path):
    samples = np.zeros((1, 181 * 100), np.float32)
    samples[0, ::7] = 0.1
    e = made(samples, 100)
    files = e.save(tmp_path)
    linked = {p: Path(files[p]) for p in ("original", "kept", "removed")}
    page = build_page(e, linked)
    assert [s.href for s in page.sounds] == ["original.wav", "kept.wav", "removed.wav"]
    assert all(s.audio is None and s.mime == "audio/wav" for s in page.sounds)
    alone = build_page(e)
    assert all(s.audio is not None and s.href is None for s in alone.sounds)
    np.testing.assert_array_equal(alone.sounds[1].spectrogram, page.sounds[1].spectrogram)


def test_long_grids_are_thinned_for_the_page():
    samples = 0.1 * np.random.default_rng(0).standard_normal(40 * RATE)
    page = build_page(made(samples, domain="mel,bands=4,ms=5"))
    assert len(page.times) <= 3600
    assert page.mask.shape == page.attribution.shape == (4, len(page.times))
    assert page.times[0] < 0.01
    assert page.times[-1] > 39.9


def test_figures_say_what_each_metric_means(e):
    shown = figures(e.metrics())
    assert len(shown) == len(e.metrics())
    assert [f.value for f in shown] == list(e.metrics().values())
    assert sum(f.heard for f in shown) == 6
    for figure in shown:
        assert figure.meaning.endswith(".")
        assert figure.better in ("higher", "lower")
    by_name = {(f.name, f.heard): f for f in shown}
    assert by_name[("AD", True)].better == "lower"
    assert by_name[("AD", True)].unit == "%"
    assert by_name[("FF", False)].title == "Faithfulness"


def test_a_given_sound_is_called_what_it_is(monkeypatch):
    from autoencoder_worlds import acting
    from otoscope.report.pages.explanation import render

    acting(monkeypatch, lambda x: x / 2, RATE)
    page = build_page(made(tone_and_decoy(0.3), method="like-to-hear"))
    assert (page.captions.kept, page.captions.against, page.captions.unit) == (
        "what the method generated",
        "softer",
        "dB",
    )
    text = render(page)
    for said in (
        "what the method generated",
        "The mask does not make the sound",
        "As generated",
        "not tuned to any classifier",
    ):
        assert said in text
    for said in ("what the network used", "what it ignored", "In the domain"):
        assert said not in text


def test_a_masked_sound_is_called_what_it_is(page):
    from otoscope.report.pages.explanation import render

    text = render(page)
    assert "what the network used" in text
    assert "In the domain" in text
    assert "does not make the sound" not in text


def test_every_sound_and_every_degree_of_trust_has_words():
    assert tuple(SOUNDS) == PARTS
    assert len({key for key, _ in SOUNDS.values()}) == 3
    assert set(TRUST) == {"good", "doubtful", "poor"}
    assert all(getattr(MASKED, part) and getattr(GENERATED, part) for part in PARTS)


def test_a_generated_sound_has_captions_of_its_own():
    assert captions_of(SimpleNamespace(generated=None)) is MASKED
    assert captions_of(SimpleNamespace(generated=object())) is GENERATED

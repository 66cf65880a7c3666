"""Components: parts of the sound and what they leave over, in the score and in what is heard."""

import numpy as np
import pytest
import torch

import otoscope
from otoscope.attribution.mask_optimisation import roughness
from otoscope.core.errors import ParameterError, ShapeError, UnsupportedError
from otoscope.core.records import Clip, Mask
from otoscope.domains import make_domain, render_blocks, render_clips
from otoscope.domains.components import segments_at
from otoscope.domains.stft import config_at
from worlds import RATE, band_energy, tone, tone_and_decoy

KINDS = [{"n": 3}, {"source": "hpss"}, {"n": 2, "segments_s": 0.1}, {"source": "hpss", "segments_s": 0.3}]
IDS = ["nmf", "hpss", "nmf-segments", "hpss-segments"]


def noise(channels, n, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, n)).astype(np.float32) * 0.2


def analysed(options, x, listener, rate=RATE):
    return make_domain("components", options).analyse(torch.as_tensor(x), listener(rate))


def heard(analysis, clip, values, block_s=20.0):
    blocks = render_blocks(clip, Mask(values, analysis.grid, "x"), block_s, analysis.rendition(0))
    return np.concatenate(list(blocks), 1)


def some(grid, seed=1):
    return np.random.default_rng(seed).random(grid.shape).astype(np.float32)


@pytest.mark.parametrize("n", [1, 80, 4001])
@pytest.mark.parametrize("kind", ["silence", "constant", "noise"])
@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_parts_sum_to_the_sound(options, kind, n, listener):
    x = {"silence": np.zeros((1, n)), "constant": np.full((1, n), 0.5), "noise": noise(1, n)}[kind].astype(np.float32)
    analysis = analysed(options, x, listener)
    rows = [analysis.synthesise(torch.eye(analysis.grid.shape[0])[i][None, :, None] * analysis_ones(analysis)) for i in
            range(analysis.grid.shape[0])]  # fmt: skip
    torch.testing.assert_close(torch.stack(rows).sum(0), torch.as_tensor(x), atol=1e-6, rtol=0)
    if kind == "silence":
        assert not torch.stack(rows).any()
        assert set(analysis.names[0]) >= {"residual"}


def analysis_ones(analysis):
    return torch.ones(1, *analysis.grid.shape)


@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_a_batch_finds_what_single_clips_find(options, sounds, listener):
    x = sounds(4001, RATE)
    together = analysed(options, x, listener)
    for i in range(4):
        alone = analysed(options, x[i : i + 1], listener)
        assert alone.names[0] == together.names[i]
        torch.testing.assert_close(alone.weights[0], together.weights[i], atol=1e-6, rtol=0)


def test_a_component_of_its_own_gets_the_attribution():
    """The tone speaks for "tone", the decoy does not: by silencing one component after the other."""
    made = otoscope.explain(
        tone_and_decoy(), band_energy(), sample_rate=RATE, method="occlusion", domain="components,n=2", target="tone"
    )
    names, values = made.attribution.grid.rows, made.attribution.values[:, 0]
    assert "around 1.2 kHz" in names[0]  # it holds a little of the decoy
    assert "around 3 kHz" in names[1]
    assert values[0] > 5 * np.abs(values[1:]).max()
    np.testing.assert_allclose(made.heard.kept, made.scores.kept, atol=1e-4)
    assert made.scores.kept[0] > made.scores.original[0]
    assert made.scores.removed[0] < 0.1


@pytest.mark.parametrize(
    "method", ["gradient", "input_x_gradient", "integrated_gradients", "rise", "mask_optimisation"]
)
def test_other_methods_find_it_too(method):
    made = otoscope.explain(
        tone_and_decoy(), band_energy(), sample_rate=RATE, method=method, domain="components,n=2,segments_s=0.5",
        target="tone",
    )  # fmt: skip
    best = np.unravel_index(made.attribution.values.argmax(), made.attribution.values.shape)
    assert tuple(map(int, best)) == (0, 0)  # the tone's component, first half


@pytest.mark.parametrize("options", KINDS, ids=IDS)
@pytest.mark.parametrize("n", [1, 255, 4001])
def test_at_the_classifiers_rate_it_is_what_the_classifier_was_fed_with(options, n, listener):
    samples = noise(1, n)
    analysis = analysed(options, samples, listener)
    values = some(analysis.grid)
    fed = analysis.synthesise(torch.from_numpy(values)[None]).numpy()
    np.testing.assert_allclose(heard(analysis, Clip(samples, RATE), values), fed, atol=2e-6)
    np.testing.assert_allclose(heard(analysis, Clip(samples, RATE), values, 0.05), fed, atol=2e-6)


@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_a_stereo_clip_at_another_rate(options, listener, db):
    """44.1 kHz, a classifier at 16 kHz: both channels are masked, and what lies above 8 kHz is removed."""
    both = np.stack([tone(1000, 1.0, 44100), 0.5 * tone(1000, 1.0, 44100)]) + tone(12000, 1.0, 44100)
    clip = Clip(both, 44100)
    mono = otoscope.audio.resample(both.mean(0, keepdims=True), 44100, 16000)
    analysis = analysed(options, mono, listener, 16000)
    whole = heard(analysis, clip, np.ones(analysis.grid.shape, np.float32))
    assert whole.shape == both.shape
    for channel in range(2):
        assert db(whole[channel], 1000, 44100) == pytest.approx(db(both[channel], 1000, 44100), abs=0.05)
        assert db(whole[channel], 12000, 44100) < db(both[channel], 12000, 44100) - 60
    values = some(analysis.grid)
    parts = heard(analysis, clip, values) + heard(analysis, clip, 1 - values)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    own = analysis.synthesise(torch.from_numpy(values)[None]).numpy()
    near = otoscope.audio.resample(heard(analysis, clip, values).mean(0, keepdims=True), 44100, 16000)
    assert np.abs(near - own)[0, 2000:-2000].max() < 0.02


def test_many_masks_at_once_equal_one_by_one(listener):
    clip = Clip(noise(2, RATE), RATE)
    analysis = analysed({"n": 3, "segments_s": 0.2}, clip.samples.mean(0, keepdims=True), listener)
    masks = np.stack([some(analysis.grid, s) for s in range(3)])
    hop = config_at(RATE).hop_length
    together = analysis.rendition(0).clips(clip, masks, 10 * hop, 10 * hop + 999)
    for found, values in zip(together, masks, strict=True):
        np.testing.assert_allclose(found, heard(analysis, clip, values)[:, 10 * hop : 10 * hop + 999], atol=2e-6)


def test_a_grid_alone_cannot_be_rendered(listener):
    analysis = analysed({}, noise(1, 800), listener)
    with pytest.raises(
        UnsupportedError, match=r"heard through the analysis that found them: use analysis.rendition\(clip\)"
    ):
        render_clips(Clip(noise(1, 800), RATE), np.ones((1, 9, 1)), analysis.grid, 0, 800)


class TestSegmentsOfTime:
    def test_shares_sum_to_one_and_fade_over_16_ms(self, listener):
        grid = make_domain("components", {"segments_s": 0.5}).grid(2 * RATE, listener(RATE))
        assert grid.shape == (9, 4)
        np.testing.assert_allclose(grid.times, [0.25, 0.75, 1.25, 1.75])
        moments = np.array([0.0, 0.25, 0.491, 0.5, 0.504, 0.509, 1.2, 2.0])
        shares = segments_at(moments, grid, torch.zeros(1)).spread(torch.eye(4)).T.numpy()
        np.testing.assert_allclose(shares.sum(1), 1)
        np.testing.assert_allclose(shares[:, 1], [0, 0, 0, 0.5, 0.75, 1, 0, 0], atol=1e-6)
        np.testing.assert_allclose(shares[-1], [0, 0, 0, 1])

    def test_gather_is_the_transpose_of_spread(self, listener):
        grid = make_domain("components", {"segments_s": 0.032}).grid(2560, listener(RATE))
        segments = segments_at(np.linspace(0, 0.32, 60), grid, torch.zeros(1))
        values, moments = torch.rand(1, 2, 10), torch.rand(1, 2, 60)
        torch.testing.assert_close((segments.spread(values) * moments).sum(), (values * segments.gather(moments)).sum())

    def test_one_segment_is_switched_and_the_others_stay(self, listener):
        x = noise(1, 2 * RATE)
        analysis = analysed({"n": 2, "segments_s": 0.5}, x, listener)
        mask = torch.ones(1, *analysis.grid.shape)
        mask[:, :, 1] = 0
        kept = analysis.synthesise(mask)[0].numpy()
        edge = round(0.02 * RATE)
        assert np.abs(kept[RATE // 2 + edge : RATE - edge]).max() < 1e-6
        np.testing.assert_allclose(kept[: RATE // 2 - edge], x[0, : RATE // 2 - edge], atol=1e-6)
        np.testing.assert_allclose(kept[RATE + edge :], x[0, RATE + edge :], atol=1e-6)


@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_amplitude_is_the_energy_of_each_part(options, listener):
    analysis = analysed(options, noise(1, RATE), listener)
    energy = analysis.amplitude().square().sum((0, 2))
    for row in range(analysis.grid.shape[0]):
        mask = torch.zeros(1, *analysis.grid.shape)
        mask[:, row] = 1
        own = analysis.spec[0] * analysis.weights[0, row]
        assert float(energy[row]) == pytest.approx(float(own.abs().square().sum()), rel=1e-4)


def test_long_sounds_are_refused_with_the_limit():
    with pytest.raises(UnsupportedError, match=r"lasts 31\.0 s, and 'band_energy' hears up to 30 s at once"):
        otoscope.explain(noise(1, 31 * RATE), band_energy(), sample_rate=RATE, method="occlusion", domain="components")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "stems"}, "source=stems and stems=FOLDER together; got source=stems and no folder"),
        ({"stems": "here"}, "together; got source=nmf and stems=here"),
        ({"source": "stems", "stems": "not/there"}, "the folder of stems not/there does not exist"),
        ({"n": 0}, "n must lie in"),
        ({"segments_s": -1}, "segments_s must lie in"),
        ({"segments_s": 0.03}, r"segments_s must be 0 \(the whole clip\) or at least 0.032 s.*got 0.03"),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ParameterError, match=words):
        make_domain("components", options)


def test_methods_that_place_by_frequency_are_refused_before_anything_runs():
    with pytest.raises(
        UnsupportedError, match="method 'grad_cam' does not support domain 'components'; supported: stft, features"
    ):
        otoscope.explain("missing.wav", "missing-model", method="grad_cam", domain="components")


def test_named_rows_have_no_neighbours():
    mask = torch.tensor([[[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]]])
    along_time, across = 0.5 / 4, 1.0 / 3
    assert float(roughness(mask, bands=False)) == pytest.approx(along_time, abs=0.02)
    assert float(roughness(mask)) == pytest.approx(along_time + across, abs=0.02)


def test_smoothing_across_components_is_refused():
    with pytest.raises(ParameterError, match="smooth_freq blends neighbouring bands"):
        otoscope.explain(
            tone(1000), band_energy(), sample_rate=RATE, domain="components", mask="positive,smooth_freq=1"
        )


def test_a_mask_of_another_shape_is_refused(listener):
    with pytest.raises(ShapeError, match="the components grid needs"):
        analysed({"n": 2}, noise(1, 800), listener).synthesise(torch.ones(1, 2, 1))


def test_the_record_and_the_arrays_name_the_rows(tmp_path):
    made = otoscope.explain(
        tone_and_decoy(), band_energy(), sample_rate=RATE, method="occlusion", domain="components,n=2", target="tone"
    )
    said = made.record()["domain"]
    assert said["rows"] == list(made.mask.grid.rows)
    assert said["axes"] == ["component", "segment (s)"]
    files = made.save(tmp_path, report=False)
    with np.load(files["attribution"]) as arrays:
        assert arrays["rows"].tolist() == said["rows"]
        assert str(arrays["scale"]) == "components"
    np.testing.assert_allclose(made.kept.samples + made.removed.samples, tone_and_decoy()[None], atol=1e-6)


def test_each_clip_of_a_batch_has_its_own_names():
    fading = np.linspace(1, 0, RATE, dtype=np.float32)
    x = [tone(500) + fading * tone(1500), tone(800) + fading * tone(3000)]
    made = otoscope.explain(x, band_energy(), sample_rate=RATE, method="occlusion", domain="components,n=2")
    names = [m.attribution.grid.rows for m in made]
    assert "500 Hz" in names[0][0]
    assert "800 Hz" in names[1][0]
    alone = otoscope.explain(x[1], band_energy(), sample_rate=RATE, method="occlusion", domain="components,n=2")
    np.testing.assert_allclose(alone.kept.samples, made[1].kept.samples, atol=1e-5)


@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_energy_of_the_clip_itself_is_its_amplitude_squared_and_parts_have_theirs(options, listener):
    analysis = analysed(options, noise(1, RATE), listener)
    x = analysis.waveform[0]
    torch.testing.assert_close(analysis.energy_of(x, 0), analysis.amplitude()[0].square(), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(analysis.energy_of(0.5 * x, 0), analysis.energy_of(x, 0) / 4, rtol=1e-5, atol=1e-8)


def test_energy_of_a_part_lies_in_its_component(listener):
    """Two tones are two components; the first tone alone has its energy in one of them."""
    low, high = tone(500, 1.0), tone(3000, 1.0)
    low[RATE // 2 :], high[: RATE // 2] = 0, 0
    analysis = analysed({"n": 2}, (low + high)[None], listener)
    energies = [analysis.energy_of(torch.as_tensor(x), 0).sum(1) for x in (low, high)]
    assert int(energies[0].argmax()) != int(energies[1].argmax())
    assert all(float(e.max() / e.sum()) > 0.9 for e in energies)


@pytest.fixture
def counted(monkeypatch):
    """How often a clip has been taken apart."""
    from otoscope.domains import components

    calls, plain = [], components.nmf
    monkeypatch.setattr(components, "nmf", lambda *a, **k: calls.append(1) or plain(*a, **k))
    monkeypatch.setattr(components.Separator, "_known", type(components.Separator._known)())
    return calls


def test_a_clip_is_taken_apart_once(counted, listener):
    x = noise(2, 4000)
    first = analysed({"n": 3}, x, listener)
    again = analysed({"n": 3, "segments_s": 0.1}, x[::-1].copy(), listener)
    assert len(counted) == 2
    assert torch.equal(first.weights[0], again.weights[1])
    assert first.names[0] == again.names[1]
    for options, rate, sound in (
        ({"n": 2}, RATE, x),
        ({"n": 3}, 16000, x),
        ({"n": 3}, RATE, 2 * x),
        ({"n": 3}, RATE, x[:, 1:]),
    ):
        before = len(counted)
        analysed(options, sound, listener, rate)
        assert len(counted) == before + 2
    before = len(counted)
    first.weights.zero_()
    assert analysed({"n": 3}, x, listener).weights.any()
    assert len(counted) == before


def test_components_that_are_remembered_have_little_room(counted, listener, monkeypatch):
    from otoscope.domains import components

    x = noise(3, 4000)
    size = analysed({"n": 3}, x[:1], listener).weights.nbytes
    monkeypatch.setattr(components, "CACHE_BYTES", 2 * size)
    analysed({"n": 3}, x, listener)
    assert len(components.Separator._known) == 2
    analysed({"n": 3}, x[1:], listener)
    assert len(counted) == 3
    analysed({"n": 3}, x[:1], listener)
    assert len(counted) == 4


def test_what_is_heard_of_one_clip_does_not_hold_the_batch(listener):
    analysis = analysed({"n": 3}, noise(4, 4000), listener)
    own = analysis.rendition(2).weights
    assert torch.equal(own, analysis.weights[2])
    assert own.untyped_storage().nbytes() == own.nbytes == analysis.weights.nbytes // 4

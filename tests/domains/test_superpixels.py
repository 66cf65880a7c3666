"""Superpixels: segments of like loudness, switched as one, in the score and in what is heard."""

import numpy as np
import pytest
import torch

import otoscope
from otoscope.core.errors import ParameterError, ShapeError, UnsupportedError
from otoscope.core.records import Clip, Mask
from otoscope.domains import make_domain, render_blocks
from otoscope.domains.superpixels import average, picture
from worlds import RATE, band_energy, spectral, tone, tone_and_decoy

KINDS = [
    {}, {"algorithm": "quickshift", "max_dist": 5.0}, {"algorithm": "felzenszwalb"}, {"of": "stft", "bands": 20, "ms": 30.0},
    {"of": "features"}, {"of": "features", "algorithm": "quickshift", "max_dist": 4.0, "hidden": "mean"},
]  # fmt: skip
IDS = ["-".join(map(str, k.values())) or "default" for k in KINDS]


def analysed(options, x, listener, rate=8000):
    return make_domain("superpixels", options).analyse(x, listener(rate))


def some(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", KINDS, ids=IDS)
class TestSegments:
    def test_labels_run_from_zero_without_gaps(self, options, sounds, listener):
        analysis = analysed(options, sounds(8000, 8000), listener)
        labels = analysis.segments()
        assert labels.shape == (4, *analysis.grid.shape)
        assert labels.dtype == torch.int64
        for own in labels:
            assert own.unique().tolist() == list(range(int(own.max()) + 1))
        assert int(labels.max()) > 0

    def test_a_batch_finds_what_single_clips_find(self, options, sounds, listener):
        x = sounds(8000, 8000)
        together = analysed(options, x, listener).segments()
        for i in range(4):
            assert torch.equal(analysed(options, x[i : i + 1], listener).segments()[0], together[i])

    def test_only_the_mean_over_a_segment_counts(self, options, sounds, listener):
        analysis = analysed(options, sounds(8000, 8000), listener)
        mask = some((4, *analysis.grid.shape))
        even = analysis.pool(mask)
        for labels, before, after in zip(analysis.segments(), mask, even, strict=True):
            for number in labels.unique():
                chosen = labels == number
                torch.testing.assert_close(
                    after[chosen], before[chosen].mean().expand(int(chosen.sum())), atol=1e-5, rtol=0
                )
        torch.testing.assert_close(analysis.pool(even), even, atol=1e-5, rtol=0)
        torch.testing.assert_close(analysis.synthesise(mask), analysis.synthesise(even), atol=1e-5, rtol=0)

    def test_gradients_are_spread_evenly_over_a_segment(self, options, sounds, listener):
        analysis = analysed(options, sounds(8000, 8000), listener)
        mask = some((4, *analysis.grid.shape)).requires_grad_(True)
        analysis.synthesise(mask).square().sum().backward()
        torch.testing.assert_close(analysis.pool(mask.grad), mask.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 80, 8000])
@pytest.mark.parametrize("kind", ["silence", "constant", "noise"])
@pytest.mark.parametrize("options", KINDS, ids=IDS)
def test_short_silent_and_constant_sounds(options, kind, n, listener):
    x = {"silence": torch.zeros(1, n), "constant": torch.full((1, n), 0.5), "noise": some((1, n)) - 0.5}[kind]
    analysis = analysed(options, x, listener)
    mask = some((1, *analysis.grid.shape))
    whole = x if analysis.feeds == "waveform" else analysis.inner.features
    nothing = torch.zeros_like(x) if analysis.feeds == "waveform" else torch.zeros_like(whole) + analysis.silence
    torch.testing.assert_close(analysis.synthesise(torch.ones_like(mask)), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(analysis.synthesise(0 * mask), nothing, atol=1e-5, rtol=1e-5)
    parts = analysis.synthesise(mask) + analysis.synthesise(1 - mask)
    torch.testing.assert_close(parts, whole + nothing, atol=1e-4, rtol=1e-5)
    kept = analysis.synthesise(mask)
    torch.testing.assert_close(analysis.complement(kept), analysis.synthesise(1 - mask), atol=1e-4, rtol=1e-5)


def test_slic_makes_about_as_many_as_asked_for(listener, sounds):
    x = sounds(16000, 8000)[:1]
    few, many = (int(analysed({"n": n}, x, listener).segments().max()) + 1 for n in (10, 100))
    assert 5 <= few <= 20
    assert 60 <= many <= 150


def test_segments_follow_loudness(listener):
    """A tone in the middle band of the first half is a segment of its own."""
    x = np.zeros(RATE, np.float32)
    x[: RATE // 2] = tone(1000, 0.5)
    x += 1e-3 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    analysis = analysed({"algorithm": "felzenszwalb", "of": "stft", "bands": 32}, torch.from_numpy(x)[None], listener)
    labels, grid = analysis.segments()[0].numpy(), analysis.grid
    band = int(np.abs(grid.frequencies - 1000).argmin())
    tone_label = labels[band, 4]
    assert (labels[band, 1:8] == tone_label).all()
    assert tone_label not in labels[:, 14:]
    assert tone_label not in labels[20:]


def test_hidden_mean_is_each_segments_mean_feature(listener, sounds):
    analysis = analysed({"of": "features", "hidden": "mean"}, sounds(4000, 8000), listener)
    nothing = analysis.synthesise(torch.zeros(4, *analysis.grid.shape))
    for features, labels, out in zip(analysis.inner.features[:, 0], analysis.segments(), nothing[:, 0], strict=True):
        for number in labels.unique():
            chosen = labels == number
            torch.testing.assert_close(
                out[chosen], features[chosen].mean().expand(int(chosen.sum())), rtol=1e-4, atol=1e-4
            )


def test_the_average_of_a_constant_is_the_constant():
    labels = torch.tensor([[[0, 0, 1], [1, 2, 2]]])
    values = torch.tensor([[[1.0, 3.0, 5.0], [7.0, 0.0, 1.0]]])
    out = average(values, labels, torch.tensor([[2.0, 2.0, 2.0]]))
    assert out.tolist() == [[[2.0, 2.0, 6.0], [6.0, 0.5, 0.5]]]


def test_the_picture_is_decibels_from_zero_to_one():
    found = picture(np.array([[1.0, 0.1], [1e-3, 1e-9]]), decibels=True)
    np.testing.assert_allclose(found, [[1, 0.75], [0.25, 0]], atol=1e-4)
    assert not picture(np.zeros((2, 2)), decibels=True).any()
    np.testing.assert_allclose(picture(np.array([[2.0, 4.0, 6.0]]), decibels=False), [[0, 0.5, 1]])


@pytest.mark.parametrize("options", [{}, {"of": "stft"}])
def test_what_is_heard_is_what_was_scored_whatever_the_mask(options, listener):
    samples = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32) * 0.2
    analysis = analysed(options, torch.from_numpy(samples), listener)
    values = np.random.default_rng(1).random(analysis.grid.shape).astype(np.float32)  # not constant in a segment
    fed = analysis.synthesise(torch.from_numpy(values)[None]).numpy()
    rendition = analysis.rendition(0)
    heard = np.concatenate(
        list(render_blocks(Clip(samples, 8000), Mask(values, analysis.grid, "x"), 0.3, rendition)), 1
    )
    np.testing.assert_allclose(heard, fed, atol=2e-6)
    plain = np.concatenate(list(render_blocks(Clip(samples, 8000), Mask(values, analysis.grid, "x"))), 1)
    assert np.abs(plain - fed).max() > 0.01


@pytest.mark.parametrize("mask", ["positive", "topk:0.3,smooth_time=0.2,smooth_freq=2"])
def test_the_explanations_mask_is_even_and_heard_as_scored(mask):
    made = otoscope.explain(
        tone_and_decoy(), band_energy(), sample_rate=RATE, method="occlusion", domain="superpixels,n=120,of=stft",
        mask=mask, target="tone",
    )  # fmt: skip
    assert made.heard.kept == pytest.approx(made.scores.kept, abs=1e-4)
    labels = make_domain("superpixels", {"n": 120, "of": "stft"}).analyse(
        torch.from_numpy(tone_and_decoy())[None], band_energy()
    )
    even = labels.pool(torch.from_numpy(made.mask.values)[None])[0].numpy()
    np.testing.assert_allclose(even, made.mask.values, atol=1e-6)
    assert made.scores.kept[0] > made.scores.original[0]
    assert made.scores.removed[0] < made.scores.original[0] / 2
    assert made.record()["domain"]["segments"] == int(labels.segments().max()) + 1


def test_long_sounds_are_heard_as_their_windows_were_scored():
    x = np.concatenate([tone_and_decoy(20.0), tone_and_decoy(16.0)])
    made = otoscope.explain(
        x, band_energy(), sample_rate=RATE, method="gradient", domain="superpixels,bands=16,ms=200",
        mask="positive,smooth_time=1,smooth_freq=2",
    )  # fmt: skip
    assert made.n_windows > 1
    assert made.kept.samples.shape == (1, len(x))
    np.testing.assert_allclose(made.heard.kept, made.scores.kept, atol=0.05)
    first = torch.from_numpy(x[: 10 * RATE])[None]
    labels = make_domain("superpixels", {"bands": 16, "ms": 200.0}).analyse(first, band_energy()).segments()[0].numpy()
    alone = set(np.unique(labels)) - set(np.unique(labels[:, 30:]))  # of the first window only
    assert len(alone) > 5
    for number in alone:
        assert np.ptp(made.mask.values[:, :50][labels == number]) < 1e-5


def test_of_features_is_scored_on_features():
    x = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    domain = "superpixels,of=features,algorithm=quickshift,hidden=mean"
    made = otoscope.explain(x, spectral(), sample_rate=16000, method="occlusion", domain=domain)
    assert made.mask.grid.scale == "mel"
    assert made.mask.grid.domain == "superpixels"
    assert np.isfinite(made.heard.kept).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": "mean"}, "by their mean in features only; got hidden=mean with of=mel"),
        ({"bands": 0}, r"domain 'mel': bands must lie in \[1, 4096\]"),
        ({"n": 0}, "n must lie in"),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ParameterError, match=words):
        make_domain("superpixels", options)


def test_it_needs_what_the_other_domain_needs(listener):
    with pytest.raises(UnsupportedError, match="does not declare where its features lie"):
        make_domain("superpixels", {"of": "features"}).analyse(torch.zeros(1, 800), listener(8000, frontend=False))


def test_a_mask_of_another_shape_is_refused(listener, sounds):
    analysis = analysed({}, sounds(800, 8000), listener)
    with pytest.raises(ShapeError, match="the superpixels grid needs"):
        analysis.pool(torch.ones(4, 3, 3))

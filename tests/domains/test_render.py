"""Rendering as people hear it: at the clip's own rate, on every channel, in blocks."""

import numpy as np
import pytest
import torch

from otoscope.core import registry
from otoscope.core.records import Clip, Mask
from otoscope.domains import make_domain, render_blocks, render_clips
from otoscope.domains.stft import config_at
from worlds import tone

DOMAINS = [d for d in registry.names("domain") if d != "components"]  # whose masks its own analysis renders


def noise(channels, n, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, n)).astype(np.float32) * 0.2


def random_mask(grid, seed=1):
    return Mask(np.random.default_rng(seed).random(grid.shape).astype(np.float32), grid, "random")


def ones(grid, value=1.0):
    return Mask(np.full(grid.shape, value, np.float32), grid, "ones")


def render(clip, mask, block_s=20.0):
    return np.concatenate(list(render_blocks(clip, mask, block_s)), 1)


def grid_of(name, listener, seconds, rate):
    return make_domain(name).grid(round(seconds * rate), listener(rate))


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("n", [1, 7, 255, 4001])
def test_ones_give_every_channel_back(name, n, listener):
    clip = Clip(noise(3, n), 8000)
    grid = make_domain(name).grid(n, listener(8000))
    out = render(clip, ones(grid))
    assert out.shape == (3, n)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, clip.samples, atol=1e-5)
    assert not render(clip, ones(grid, 0.0)).any()


@pytest.mark.parametrize("name", DOMAINS)
def test_parts_sum_to_the_clip_and_silence_stays(name, listener):
    clip = Clip(noise(2, 6001), 8000)
    mask = random_mask(make_domain(name).grid(6001, listener(8000)))
    rest = Mask(1 - mask.values, mask.grid, "rest")
    np.testing.assert_allclose(render(clip, mask) + render(clip, rest), clip.samples, atol=1e-5)
    assert not render(Clip(np.zeros((2, 6001)), 8000), mask).any()


@pytest.mark.parametrize("name", ["stft", "mel", "time"])
@pytest.mark.parametrize("n", [255, 4001, 8000])
def test_at_the_classifiers_rate_it_is_what_the_classifier_was_fed_with(name, n, listener):
    clip = Clip(noise(1, n), 8000)
    analysis = make_domain(name).analyse(torch.from_numpy(clip.samples.copy()), listener(8000))
    mask = random_mask(analysis.grid)
    fed = analysis.synthesise(torch.from_numpy(mask.values)[None]).numpy()
    np.testing.assert_allclose(render(clip, mask), fed, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("name", DOMAINS)
def test_blocks_equal_the_whole(name, rate, listener):
    clip = Clip(noise(2, 3 * rate // 2 + 11), rate)
    mask = random_mask(grid_of(name, listener, clip.duration, 8000))
    whole = render(clip, mask, 100.0)
    assert len(list(render_blocks(clip, mask, 100.0))) == 1
    hop = config_at(rate).hop_length
    for block_s in (0.001, 0.05, 0.3, 1.0, clip.duration):
        blocks = list(render_blocks(clip, mask, block_s))
        sizes = {b.shape[1] for b in blocks[:-1]}
        assert all(size % hop == 0 for size in sizes)
        assert len(sizes) <= 1
        np.testing.assert_allclose(np.concatenate(blocks, 1), whole, atol=2e-6)


def test_every_channel_is_masked_alike_and_by_itself(listener):
    samples = noise(5, 4001)
    mask = random_mask(grid_of("mel", listener, 4001 / 8000, 8000))
    out = render(Clip(samples, 8000), mask)
    for channel in range(5):
        alone = render(Clip(samples[channel : channel + 1], 8000), mask)
        np.testing.assert_allclose(out[channel], alone[0], atol=1e-6)


@pytest.mark.parametrize("name", DOMAINS)
class TestAnotherRate:
    """A 44.1 kHz clip, a classifier at 32 kHz: it hears nothing above 16 kHz."""

    def clip(self):
        return Clip((tone(1000, 1.0, 44100) + tone(20000, 1.0, 44100))[None], 44100)

    def test_sound_above_its_nyquist_goes_to_the_removed_part(self, name, listener, db):
        clip = self.clip()
        kept = render(clip, ones(grid_of(name, listener, 1.0, 32000)))
        removed = clip.samples - kept
        assert db(kept[0], 20000, 44100) < db(clip.samples[0], 20000, 44100) - 60
        assert db(removed[0], 20000, 44100) == pytest.approx(db(clip.samples[0], 20000, 44100), abs=0.05)

    def test_below_it_a_mask_of_ones_gives_the_sound_back(self, name, listener, db):
        clip = self.clip()
        kept = render(clip, ones(grid_of(name, listener, 1.0, 32000)))
        low = tone(1000, 1.0, 44100)
        assert np.abs(kept[0] - low)[2000:-2000].max() < 1e-3
        assert db(clip.samples[0] - kept[0], 1000, 44100) < -80

    def test_a_lower_rate_loses_nothing(self, name, listener):
        clip = Clip(noise(1, 8000), 8000)
        np.testing.assert_allclose(render(clip, ones(grid_of(name, listener, 1.0, 32000))), clip.samples, atol=1e-5)


@pytest.mark.parametrize("name", ["stft", "mel", "features"])
def test_a_band_is_taken_away_at_the_clips_own_rate(name, listener, db):
    clip = Clip((tone(1000, 1.0, 44100) + tone(6000, 1.0, 44100))[None], 44100)
    grid = grid_of(name, listener, 1.0, 16000)
    values = np.ones(grid.shape, np.float32)
    values[grid.frequencies < 2500] = 0
    kept = render(clip, Mask(values, grid, "high"))[0]
    assert db(kept, 1000, 44100) < db(clip.samples[0], 1000, 44100) - 50
    assert db(kept, 6000, 44100) == pytest.approx(db(clip.samples[0], 6000, 44100), abs=0.1)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("name", DOMAINS)
def test_many_masks_at_once_equal_one_by_one(name, rate, listener):
    clip = Clip(noise(2, rate), rate)
    grid = grid_of(name, listener, 1.0, 8000)
    masks = np.random.default_rng(0).random((3, *grid.shape)).astype(np.float32)
    hop = config_at(rate).hop_length
    together = render_clips(clip, masks, grid, 10 * hop, 10 * hop + 999)
    assert together.shape == (3, 2, 999)
    for i in range(3):
        whole = render(clip, Mask(masks[i], grid, "x"))
        np.testing.assert_allclose(together[i], whole[:, 10 * hop : 10 * hop + 999], atol=2e-6)


def test_long_grids_are_read_only_where_they_are_needed(listener, monkeypatch):
    """Rendering a block of a long sound must not cost the whole grid."""
    from otoscope.domains import render as module

    seen = []
    real = module.neighbours

    def watch(points, knots):
        seen.append(len(knots))
        return real(points, knots)

    monkeypatch.setattr(module, "neighbours", watch)
    clip = Clip(noise(1, 20 * 8000), 8000)
    render(clip, random_mask(grid_of("stft", listener, 20.0, 8000)), 1.0)
    assert max(seen) < 30  # of 400


def test_nothing_is_rendered_of_an_empty_sound(listener):
    grid = grid_of("stft", listener, 1.0, 8000)
    assert list(render_blocks(Clip(np.zeros((1, 0)), 8000), ones(grid))) == []

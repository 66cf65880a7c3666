"""Long sounds through an autoencoder: window after window, without a seam, in constant memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.audio import resample
from otoscope.autoencoders import Autoencoder, AutoencoderConfig, reconstruct_blocks
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.core.records import Clip

RATE = 2000
TINY = AutoencoderConfig(1, 8, (1, 1), (2,), (1,), 4, 4, RATE)


def tiny(seed=0):
    return Autoencoder(random_autoencoder(TINY, seed, zero_residuals=False).network, "tiny").eval()


@pytest.fixture
def identity(monkeypatch):
    made = tiny()
    monkeypatch.setattr(made.network, "forward", lambda x: x)
    return made


def chirp(seconds, rate, low=20.0, high=600.0):
    t = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * (low * t + (high - low) * t**2 / 2 / seconds))


def joined(*args):
    return np.concatenate(list(reconstruct_blocks(*args)), axis=1)


class Reader:
    """A source that remembers what was read."""

    def __init__(self, clip):
        self.clip, self.reads = clip, []
        self.sample_rate, self.channels, self.frames = clip.sample_rate, clip.channels, clip.frames

    def read(self, start, stop):
        self.reads.append((start, stop))
        return self.clip.read(start, stop)


def test_a_short_sound_is_heard_at_once():
    autoencoder, sound = tiny(), chirp(3.3, RATE)[None].astype(np.float32)
    (block,) = reconstruct_blocks(Clip(sound, RATE), autoencoder)
    with torch.no_grad():
        assert block == pytest.approx(autoencoder(torch.from_numpy(sound)).numpy(), abs=1e-6)
    assert block.dtype == np.float32


@pytest.mark.parametrize("seconds", [10.0, 10.0005, 11.3, 18.0, 18.9, 26.7815, 27.1, 41.0])
@pytest.mark.parametrize("rate", [RATE, 4410, 1500])
def test_there_is_no_seam(identity, seconds, rate):
    """A smooth sound through the identity comes back everywhere, at its own length; also where windows meet."""
    sound = np.stack([chirp(seconds, rate), -0.3 * chirp(seconds, rate, 30.0, 500.0)]).astype(np.float32)
    made = joined(Clip(sound, rate), identity)
    assert made.shape == sound.shape
    assert made.dtype == np.float32
    inner = slice(rate // 10, -rate // 10) if rate != RATE else slice(None)
    tolerance = 1e-6 if rate == RATE else 3e-4
    assert np.abs(made - sound)[:, inner].max() < tolerance


def test_what_lies_above_the_listeners_reach_does_not_go_in(identity):
    rate = 4000
    t = np.arange(30 * rate) / rate
    low, high = 0.3 * np.sin(2 * np.pi * 300 * t), 0.3 * np.sin(2 * np.pi * 700 * t)
    made = joined(Clip((low + high)[None].astype(np.float32), rate), identity, 1000)[0]
    assert np.abs(made - low)[rate // 5 : -rate // 5].max() < 1e-3
    heard = joined(Clip((low + high)[None].astype(np.float32), rate), identity)[0]
    assert np.abs(heard - low - high)[rate // 5 : -rate // 5].max() < 1e-3


def test_it_is_the_windows_faded_into_one_another():
    """Independently: whole windows of ten seconds that start every eight, weighed by straight lines."""
    autoencoder, n = tiny(), 26 * RATE
    sound = np.random.default_rng(0).normal(size=(1, n)).astype(np.float32) * 0.1
    expected, total = np.zeros((1, n)), np.zeros(n)
    for start in (0, 8, 16):
        a, b = start * RATE, (start + 10) * RATE
        with torch.no_grad():
            part = autoencoder(torch.from_numpy(sound[:, a:b])).numpy()
        weight = np.ones(10 * RATE)
        ramp = (np.arange(2 * RATE) + 0.5) / (2 * RATE)
        if start > 0:
            weight[: 2 * RATE] = ramp
        if start < 16:
            weight[-2 * RATE :] = ramp[::-1]
        expected[:, a:b] += weight * part
        total[a:b] += weight
    assert total == pytest.approx(np.ones(n))
    assert joined(Clip(sound, RATE), autoencoder) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rate", [RATE, 3000])
def test_it_reads_in_order_and_a_bounded_stretch_at_a_time(rate):
    reader = Reader(Clip(0.1 * np.random.default_rng(0).normal(size=(1, 75 * rate + 7)).astype(np.float32), rate))
    blocks, longest, seen = reconstruct_blocks(reader, tiny()), 0, []
    assert reader.reads == []
    for block in blocks:
        longest = max(longest, block.shape[1])
        seen.append(len(reader.reads))
    assert seen == list(range(1, len(seen) + 1))  # one read a block, when it is asked for
    starts = [a for a, _ in reader.reads]
    assert starts == sorted(starts)
    assert max(b - a for a, b in reader.reads) <= 12 * rate
    assert longest <= 10 * rate
    assert len(seen) == 10


def test_each_channel_is_reconstructed_by_itself():
    autoencoder = tiny()
    sound = (0.1 * np.random.default_rng(0).normal(size=(3, 12 * RATE))).astype(np.float32)
    sound[1] = 0
    made = joined(Clip(sound, RATE), autoencoder)
    for i in range(3):
        if i != 1:
            assert made[i] == pytest.approx(joined(Clip(sound[i : i + 1], RATE), autoencoder)[0], abs=1e-5)
    assert np.abs(made[0] - made[2]).max() > 0.01


@pytest.mark.parametrize("rate", [RATE, 4410])
def test_silence_stays_silent(rate):
    """The network itself does not: its biases would be heard."""
    autoencoder = tiny()
    with torch.no_grad():
        autoencoder.network.decoder.to_out.block.block2.project.bias.fill_(0.2)
        assert autoencoder(torch.zeros(1, 100)).abs().max() > 0.1
    assert not joined(Clip(np.zeros((2, 25 * rate + 3), np.float32), rate), autoencoder).any()
    half = np.zeros((1, 40 * rate), np.float32)
    half[:, : 8 * rate] = chirp(8, rate)
    made = joined(Clip(half, rate), autoencoder)
    assert np.abs(made[:, : 8 * rate]).max() > 0.1
    assert not made[:, 20 * rate :].any()


@pytest.mark.parametrize("frames", [1, 2, 31, 997, 10 * 3001, 10 * 3001 + 1, 12 * 3001 - 1])
def test_lengths_are_exact(frames):
    sound = np.full((1, frames), 0.1, np.float32)
    made = joined(Clip(sound, 3001), tiny())
    assert made.shape == (1, frames)
    assert np.isfinite(made).all()


def test_clipping_is_no_trouble(identity):
    sound = np.clip(3 * chirp(12, RATE), -1, 1)[None].astype(np.float32)
    assert joined(Clip(sound, RATE), identity) == pytest.approx(sound, abs=1e-6)


def test_nothing_is_left_changed():
    autoencoder = tiny()
    before, sound = autoencoder.digest(), chirp(12, 3000)[None].astype(np.float32)
    kept = sound.copy()
    joined(Clip(sound, 3000), autoencoder)
    assert autoencoder.digest() == before
    assert np.array_equal(sound, kept)
    assert all(p.requires_grad and p.grad is None for p in autoencoder.parameters())


def test_other_rates_are_resampled_by_the_door_for_audio(identity):
    """A short sound: down to the listener's rate and back, nothing else."""
    sound = (0.2 * np.random.default_rng(3).normal(size=(1, 4000))).astype(np.float32)
    expected = resample(resample(sound, 4000, RATE), RATE, 4000)
    assert joined(Clip(sound, 4000), identity) == pytest.approx(expected, abs=1e-6)


def test_windows_are_resampled_with_their_surroundings(monkeypatch):
    """What the network hears where a window begins is the sound, not the sound after silence."""
    autoencoder, heard, rate = tiny(), [], 3000
    monkeypatch.setattr(autoencoder.network, "forward", lambda x: heard.append(x.clone()) or x)
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(26 * rate) / rate + 0.7)
    joined(Clip(tone[None].astype(np.float32), rate), autoencoder)
    expected = 0.5 * np.sin(2 * np.pi * 300 * np.arange(8 * RATE, 18 * RATE) / RATE + 0.7)
    assert heard[1].shape == (1, 1, 10 * RATE)
    assert heard[1][0, 0].numpy() == pytest.approx(expected, abs=1e-4)

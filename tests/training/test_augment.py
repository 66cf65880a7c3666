import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.spectral import KaldiLogMel
from otoscope.training.augment import (
    augment_features,
    augment_waveforms,
    gain,
    jitter_bank,
    mix,
    roll,
    shares,
    spec_mask,
    wave_mix,
)
from otoscope.training.classifier.settings import AugmentSettings


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def mixup(sounds, target, probability, alpha, generator):
    return mix(sounds, target, shares(len(sounds), probability, alpha, generator), generator)


def test_roll_keeps_every_sample_and_moves_clips_apart():
    x = torch.arange(100.0).repeat(8, 1)
    y = roll(x, 50, rng())
    assert torch.equal(y.sort(1).values, x)
    starts = y[:, 0].tolist()
    assert len(set(starts)) > 3
    assert all(s <= 50 or s >= 50 for s in starts)


def test_roll_of_nothing_is_the_clip():
    x = torch.randn(3, 10)
    assert torch.equal(roll(x, 0, rng()), x)


def test_roll_stays_within_its_bound():
    x = torch.zeros(64, 1000)
    x[:, 500] = 1
    places = roll(x, 20, rng()).argmax(1)
    assert places.min() >= 480
    assert places.max() <= 520
    assert places.min() < 500 < places.max()


def test_gain_is_one_factor_a_clip_within_the_bound():
    x = torch.ones(500, 4)
    db = 20 * gain(x, 12.0, rng()).log10()
    assert torch.allclose(db, db[:, :1].expand(-1, 4), atol=1e-5)
    assert db.abs().max() <= 12.0
    assert db.max() > 10
    assert db.min() < -10


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0.1, 5), st.integers(0, 999))
def test_mixup_weights_sum_to_one_and_lean_on_the_own_label(probability, alpha, seed):
    target = torch.eye(6)
    mixed, labels = mixup(torch.eye(6) * 2, target, probability, alpha, rng(seed))
    assert torch.allclose(labels.sum(1), torch.ones(6), atol=1e-6)
    assert torch.allclose(mixed, 2 * labels, atol=1e-5)  # sound and label with the same weights
    assert (labels.diagonal() >= 0.5 - 1e-6).all()


def test_mixup_with_probability_zero_changes_nothing():
    x, y = torch.randn(4, 9), torch.eye(4)
    mixed, labels = mixup(x, y, 0.0, 1.0, rng())
    assert torch.equal(mixed, x)
    assert torch.equal(labels, y)


def test_mixup_with_probability_one_mixes_most():
    _, labels = mixup(torch.randn(64, 9), torch.eye(64), 1.0, 1.0, rng())
    assert (labels.max(1).values < 0.999).sum() > 50


def test_spec_mask_silences_one_band_and_one_stretch():
    x = torch.ones(40, 1, 20, 30)
    y = spec_mask(x, 5, 10, -7.0, rng())
    hidden = y == -7.0
    assert torch.equal(y[~hidden], x[~hidden])
    for clip in hidden[:, 0]:
        rows, columns = clip.all(1), clip.all(0)
        assert rows.sum() <= 5
        assert columns.sum() <= 10
        assert torch.equal(clip, rows[:, None] | columns[None])
        assert rows.int().diff().abs().sum() <= 2
        assert columns.int().diff().abs().sum() <= 2
    assert hidden.any()


def test_spec_mask_off():
    x = torch.randn(2, 1, 4, 5)
    assert torch.equal(spec_mask(x, 0, 0, -1.0, rng()), x)


@pytest.mark.parametrize("seed", [0, 1])
def test_augmentation_depends_on_the_generator_alone(seed):
    x, y = torch.randn(5, 400), torch.eye(5)
    s = AugmentSettings()
    torch.manual_seed(1)
    a = augment_waveforms(x, y, s, 100, rng(seed))
    torch.manual_seed(2)
    b = augment_waveforms(x, y, s, 100, rng(seed))
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[0], augment_waveforms(x, y, s, 100, rng(seed + 1))[0])


def test_wave_mix_takes_the_mean_out_of_what_it_mixes_and_leaves_the_rest():
    x, y = 0.3 + torch.randn(64, 400, generator=rng(1)), torch.eye(64)
    mixed, labels = wave_mix(x, y, 0.5, rng())
    alone = labels.max(1).values == 1
    assert 10 < alone.sum() < 54
    centred = x - x.mean(1, keepdim=True)
    for own, sound, still in zip(mixed[alone], x[alone], centred[alone], strict=True):
        assert torch.equal(own, sound) or torch.allclose(own, still, atol=1e-6)  # drawn to be mixed with itself
    assert mixed[~alone].mean(1).abs().max() < 1e-6
    i = int((~alone).nonzero()[0])
    j = int(labels[i].argsort(descending=True)[1])
    assert torch.allclose(mixed[i], labels[i, i] * centred[i] + labels[i, j] * centred[j], atol=1e-5)


def test_shares_follow_beta_two_two():
    """E max(X, 1 - X) for Beta(2, 2) is 11/16."""
    found = shares(20_000, 1.0, 2.0, rng())
    assert abs(float(found.mean()) - 11 / 16) < 5e-3


def test_features_are_mixed_with_their_labels_and_masked_with_the_mean():
    x = torch.arange(4.0)[:, None, None, None].expand(4, 1, 10, 12) * 1.0
    settings = AugmentSettings(mixup_on="features", mixup_probability=1.0, frequency_mask=0, time_mask=0)
    mixed, labels = augment_features(x, torch.eye(4), settings, torch.tensor(-9.0), rng())
    assert torch.allclose(mixed[:, 0, 0, 0], labels @ torch.arange(4.0), atol=1e-6)
    both = AugmentSettings(mixup_on="features", mixup_probability=1.0, frequency_mask=10, time_mask=12)
    masked, labels = augment_features(torch.ones(4, 1, 10, 12), torch.eye(4), both, torch.tensor(5.0), rng())
    assert masked.min() >= 1  # masks come first: what is mixed in afterwards is masked too
    assert masked.max() <= 5
    assert ((masked > 1) & (masked < 5)).any()


def test_full_scale_is_the_feature_of_power_one():
    """EfficientAT writes zeros into log features before it shifts and scales them: (0 + 4.5) / 5."""
    assert KaldiLogMel().full_scale == pytest.approx(0.9)


def test_the_bank_is_jittered_within_its_bounds_and_only_where_there_is_one():
    frontend = KaldiLogMel()
    drawn = [jitter_bank(frontend, rng(seed)) for seed in range(300)]
    assert {d["low_hz"] for d in drawn} == {float(i) for i in range(10)}
    tops = [d["high_hz"] for d in drawn]
    assert 14_000 <= min(tops) < 14_100
    assert 15_900 < max(tops) <= 16_000
    assert jitter_bank(torch.nn.Identity(), rng()) == {}
    x = 0.1 * torch.randn(1, 8000, generator=rng())
    assert torch.equal(frontend(x), frontend(x, low_hz=0.0, high_hz=15000.0))
    assert not torch.allclose(frontend(x), frontend(x, high_hz=14_200.0))

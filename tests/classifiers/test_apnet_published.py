"""The checkpoints of APNet's authors on real sounds."""

from __future__ import annotations

import csv
import random

import numpy as np
import pytest
import torch

import otoscope
from otoscope.audio.resample import resample
from otoscope.core.errors import OtoscopeError

pytest.importorskip("h5py")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def heard(path, rate, most):
    """A recording at the classifier's rate, cut as the authors do."""
    clip = otoscope.load_audio(path)
    return torch.from_numpy(np.ascontiguousarray(resample(clip.samples, clip.sample_rate, rate)[:1, :most]))


def slow_features(sound, rate, n_fft, hop, bands, low, high, frames):
    """Mel power in dB, ``(frame, band)``, limited to 80 dB below the loudest cell, then scaled; NumPy in float64."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = (
        np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
        * 2
        / (right - left)
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    starts = range(0, len(sound) - n_fft + 1, hop)
    power = np.array([np.abs(np.fft.rfft(sound[i : i + n_fft] * window)) ** 2 for i in starts])
    level = 10 * np.log10(np.maximum(power @ bank.T, 1e-10))
    level = np.maximum(level, level.max() - 80)
    return (2 * ((level - low) / (high - low) - 0.5))[:frames]


def test_features_are_those_of_the_authors(shared):
    model = otoscope.load_classifier("apnet_us8k", shared("weights/apnet/us8k_fold1_refined.hdf5"))
    assert model.minimum_length == model.maximum_length == 84 * 1024 + 4096
    x = heard(shared("clips/typing.wav"), 22050, model.maximum_length)
    expected = slow_features(x[0].double().numpy(), 22050, 4096, 1024, 128, -100.0, 47.34378242768952, 84)
    found = model.features(x)[0, 0].T.numpy()
    assert found.shape == (84, 128)
    assert np.abs(found - expected).max() < 1e-3


def test_apnet_hears_dogs_as_dogs(shared):
    model = otoscope.load_classifier("apnet_us8k", shared("weights/apnet/us8k_fold1_refined.hdf5"))
    assert len(model.network.prototypes.maps) == 17
    root = shared("esc10/meta/esc50.csv").parents[1]
    table = csv.DictReader((root / "meta/esc50.csv").read_text().splitlines())
    rows = [row for row in table if row["category"] == "dog" and row["fold"] == "1"]
    right = 0
    for row in rows:
        with torch.no_grad():
            logits = model(heard(root / "audio" / row["filename"], 22050, model.maximum_length))
        right += model.labels[int(logits.argmax())] == "dog_bark"
    assert right >= 7
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("name", "file", "words", "digits"),
    [
        ("sb_cnn_speech_commands", "speech_commands_sb_cnn", 0.74, 0.82),
        ("attention_rnn_speech_commands", "speech_commands_attention_rnn", 0.81, 0.87),
    ],
)
def test_digits_are_understood(shared, name, file, words, digits):
    """300 recordings of FSDD, seed 0: among 35 words, and among the ten digits."""
    model = otoscope.load_classifier(name, shared(f"weights/apnet/{file}.hdf5"))
    assert len(model.labels) == 35
    files = random.Random(0).sample(sorted(shared("fsdd/recordings").glob("*.wav")), 300)
    index = [model.labels.index(word) for word in DIGITS]
    right = np.zeros(2)
    for path in files:
        with torch.no_grad():
            logits = model(heard(path, 16000, 59 * 256 + 1024))[0]
        truth = DIGITS[int(path.name[0])]
        right += model.labels[int(logits.argmax())] == truth, DIGITS[int(logits[index].argmax())] == truth
    assert right[0] / 300 == pytest.approx(words, abs=0.02)
    assert right[1] / 300 == pytest.approx(digits, abs=0.02)


def test_weights_with_other_classes_are_refused(shared):
    with pytest.raises(OtoscopeError, match=r"has no array 'conv1|no array 'deconv1/kernel'.*another network"):
        otoscope.load_classifier("apnet_us8k", shared("weights/apnet/speech_commands_sb_cnn.hdf5"))
    with pytest.raises(OtoscopeError, match=r"out\.weight.*\(10, 17\)"):
        otoscope.load_classifier("apnet_us8k", shared("weights/apnet/us8k_fold1_refined.hdf5"), labels=["a", "b"])

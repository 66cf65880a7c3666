from __future__ import annotations

from pathlib import Path

import numpy as np

from otoscope.datasets import contaminator, planter
from otoscope.datasets.prepare import Prepared, add_noise_and_cue, clip_key, full_scale
from otoscope.datasets.records import Example


def test_full_scale_is_the_peak_and_never_zero():
    assert full_scale(np.array([0.25, -0.5])) == 0.5
    assert full_scale(np.zeros(3)) == 1e-8


def test_the_key_names_class_file_and_start():
    assert clip_key(Example(Path("a/b.wav"), "dog", 0, 1, "b", 2.5)) == "dog/b.wav@2.5"


def test_noise_comes_before_the_cue():
    clip = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    noise, cue = contaminator("white,snr_db=0,seed=1"), planter("beep,level_db=-10,seed=1")
    noisy, noise_record = noise(clip, 16000, "k")
    mixed, alone, cue_record = cue(noisy, 16000, "k")
    made = add_noise_and_cue(clip, 16000, "k", noise, cue)
    np.testing.assert_array_equal(made.samples, mixed)
    np.testing.assert_array_equal(made.cue, alone)
    assert (made.noise_record, made.cue_record) == (noise_record, cue_record)
    only = add_noise_and_cue(clip, 16000, "k")
    assert only == Prepared(only.samples)
    assert only.samples is clip

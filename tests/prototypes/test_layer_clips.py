"""What a layer makes of clips, and the sounds of parts of clips."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.core.errors import AudioReadError, OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.core.records import Clip
from otoscope.datasets import Example, load_dataset
from otoscope.prototypes import Box, record_clips
from otoscope.prototypes.layer_clips import box_sound, heard_scores, inside, read_clip
from otoscope.surgery import record_layer
from tone_worlds import HZ, RATE, tone_sound, tones_classifier, write_known_tones
from worlds import band_energy


def test_clips_have_the_maps_and_probabilities_of_single_passes(known):
    classifier, data, clips = known
    assert [c.example for c in clips] == list(data.examples)
    for clip in clips[::5]:
        with torch.no_grad(), record_layer(classifier.network, "cells") as outputs:
            p = classifier.probabilities(classifier(torch.from_numpy(clip.waveform)[None]))[0]
        torch.testing.assert_close(clip.map, outputs[0][0])
        torch.testing.assert_close(clip.probabilities, p)
        assert clip.predicted == sorted(HZ).index(clip.example.label)
        assert not clip.cut


def test_one_pass_a_clip_whatever_the_lengths(tmp_path):
    """Clips of several lengths come back in order, with each given once, and nothing padded."""
    classifier, lengths = tones_classifier(), [4000, 8000, 4000, 5000, 8000, 4000]
    for i, n in enumerate(lengths):
        write_wav(tmp_path / "a" / f"{i}.wav", tone_sound(500, 0.1, i)[None, :n], RATE)
    data, given, done = load_dataset("folder", tmp_path), [], []
    handle = classifier.network.register_forward_hook(lambda m, x, y: given.append(tuple(x[0].shape)))
    clips = record_clips(classifier, data, batch_size=2, progress=done.append)
    handle.remove()
    assert sum(shape[0] for shape in given) == 6
    assert max(shape[0] for shape in given) == 2
    assert done[-1] == 6
    assert [len(c.waveform) for c in clips] == lengths
    assert [c.example.path.name for c in clips] == [f"{i}.wav" for i in range(6)]
    alone = record_clips(classifier, data.examples[3:4])[0]
    torch.testing.assert_close(alone.map, clips[3].map)


def test_of_a_long_clip_the_first_window_counts(tmp_path):
    write_wav(tmp_path / "a" / "long.wav", np.concatenate([tone_sound(500, 0.1), tone_sound(2500, 0.1)])[None], RATE)
    classifier = tones_classifier(window_s=1.0)
    (clip,) = record_clips(classifier, [Example(tmp_path / "a" / "long.wav", "low", 1, 1, "")])
    assert clip.cut
    assert len(clip.waveform) == RATE
    assert clip.predicted == 1
    assert read_clip(clip.example, classifier).frames == RATE


def test_the_classifier_is_as_it_was(known):
    _, data, _ = known
    classifier = tones_classifier()
    classifier.train()
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    record_clips(classifier, data.examples[:2])
    assert classifier.training
    assert not classifier.network.cells._forward_hooks
    assert all(torch.equal(v, before[k]) for k, v in classifier.state_dict().items())


def test_layers_that_do_not_serve(known):
    classifier, data, _ = known
    with pytest.raises(UnsupportedError, match=r"'three tones' has no default layer; give layer=.* such as cells"):
        record_clips(tones_classifier(cam_layer=None), data)
    with pytest.raises(UnsupportedError, match=r"'band_energy' has no layers, so no prototypes can be found in it"):
        record_clips(band_energy(), data)
    with pytest.raises(UnknownNameError, match=r"unknown layer 'cels'; did you mean 'cells'"):
        record_clips(classifier, data, "cels")
    with pytest.raises(ParameterError, match=r"there are no clips"):
        record_clips(classifier, [])
    with pytest.raises(ParameterError, match=r"batch_size must be at least 1"):
        record_clips(classifier, data, batch_size=0)
    gone = dataclasses.replace(data.examples[0], path=data.examples[0].path.with_name("gone.wav"))
    with pytest.raises(OtoscopeError, match=r"gone\.wav"):
        record_clips(classifier, [gone])


def test_a_part_of_a_file_is_that_part(known):
    classifier, data, _ = known
    part = dataclasses.replace(data.examples[0], start_s=0.25, stop_s=0.5)
    assert read_clip(part, classifier).frames == 2000
    whole = otoscope.load_audio(part.path)
    np.testing.assert_array_equal(read_clip(part, classifier).samples, whole.samples[:, 2000:4000])
    with pytest.raises(AudioReadError, match=r"ends before the clip begins, at 2 s"):
        read_clip(dataclasses.replace(part, start_s=2.0, stop_s=None), classifier)


def power(samples: np.ndarray, hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples)
    at = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[np.abs(at - hz) < 50].max())


def test_a_box_holds_its_time_and_its_band_alone():
    t = np.arange(RATE) / RATE
    both = np.stack([np.sin(2 * np.pi * 500 * t) + np.sin(2 * np.pi * 2500 * t)] * 2).astype(np.float32)
    clip = Clip(0.3 * both, RATE)
    kept = inside(clip, Box(0.25, 0.5), RATE / 2)
    assert kept.shape == clip.samples.shape
    np.testing.assert_allclose(kept[:, 2050:3950], clip.samples[:, 2050:3950], atol=1e-6)
    assert np.abs(kept[:, :1900]).max() == np.abs(kept[:, 4100:]).max() == 0
    band = inside(clip, Box(0.25, 0.5, 1000, 4000), RATE / 2)
    assert power(band[0, 2200:3800], 500) < 0.01 < 0.1 < power(band[0, 2200:3800], 2500)
    rest = clip.samples - band
    assert power(rest[0, 2200:3800], 2500) < 0.01 < 0.1 < power(rest[0, 2200:3800], 500)
    np.testing.assert_allclose(rest[:, :1500], clip.samples[:, :1500], atol=1e-5)


def test_the_sound_of_a_box_is_as_long_as_the_box():
    clip = Clip(np.ones((2, RATE), np.float32), RATE)
    sound = box_sound(clip, Box(0.25, 0.5), RATE / 2)
    assert sound.shape == (2, 2080)  # with fades of 5 ms
    assert sound[0, 0] == 0
    assert sound[0, 1000] == 1
    assert box_sound(clip, Box(0.0, 1.0), RATE / 2).shape == (2, RATE)


def test_a_box_that_reaches_the_classifiers_nyquist_keeps_what_lies_above():
    t = np.arange(RATE) / RATE
    clip = Clip(np.sin(2 * np.pi * 3000 * t)[None].astype(np.float32), RATE)
    assert power(inside(clip, Box(0.0, 1.0, 0, 1000), 1000)[0], 3000) > 0.4  # the classifier hears up to 1 kHz
    assert power(inside(clip, Box(0.0, 1.0, 500, 1000), 1000)[0], 3000) > 0.4
    assert power(inside(clip, Box(0.0, 1.0, 0, 1000), 4000)[0], 3000) < 0.01


def test_sounds_are_scored_at_the_classifiers_rate(known):
    classifier, _, _ = known
    t = np.arange(2 * RATE) / (2 * RATE)
    high = (0.3 * np.sin(2 * np.pi * 2500 * t))[None].astype(np.float32)
    scores = heard_scores(classifier, [high, np.concatenate([high, high])[:, : RATE // 2]], [2 * RATE, 2 * RATE])
    assert scores.shape == (2, 3)
    assert (scores.argmax(1) == 0).all()
    assert heard_scores(classifier, [], []).shape == (0, 3)


def test_the_known_tones_are_where_their_names_say(tmp_path):
    data = write_known_tones(tmp_path)
    assert len(data) == 12
    sound = otoscope.load_audio(data.examples[1].path).samples[0]
    assert np.abs(sound[1700:3900]).max() > 0.25 > 0.05 > np.abs(sound[:1500]).max()

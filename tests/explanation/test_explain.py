"""`explain` and `classify`: any sound in, the right explanation out, and nothing of the caller's changed."""

from __future__ import annotations

import importlib
import io
import json

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import otoscope
from otoscope.audio import open_audio, write_wav
from otoscope.core.errors import (
    AudioReadError,
    DeviceMemoryError,
    NonFiniteError,
    OtoscopeError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
)
from otoscope.datasets.backgrounds import Background
from otoscope.explanation.explain import explain_sources
from otoscope.explanation.request import make_request
from otoscope.explanation.windows import windows_of
from worlds import RATE, BandEnergy, band_energy, linear, spectral, tone, tone_and_decoy

QUICK = {"method": "input_x_gradient"}


def noise(frames: int, channels: int = 1, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def explained(samples, rate=RATE, model=None, **options):
    return otoscope.explain(samples, model or band_energy(), sample_rate=rate, **{**QUICK, **options})


def assert_partition(e, samples, rate) -> None:
    """Kept and removed have the form of the original, and sum to it."""
    samples = np.atleast_2d(samples)
    for part in (e.kept, e.removed):
        assert part.samples.shape == samples.shape
        assert part.samples.dtype == np.float32
        assert part.sample_rate == rate
    np.testing.assert_allclose(e.kept.samples + e.removed.samples, samples, rtol=0, atol=1e-6)


# What comes in


def test_every_door_gives_the_same_explanation(tmp_path):
    samples = tone_and_decoy(0.4)
    path = write_wav(tmp_path / "a.wav", samples[None], RATE)
    doors = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
        "clip": otoscope.load_audio(path),
        "opened": open_audio(path),
        "array": {"array": samples, "sampling_rate": RATE},
        "raw": {"raw": samples, "sampling_rate": RATE},
        "hf bytes": {"bytes": path.read_bytes(), "path": None},
        "hf path": {"path": str(path), "bytes": None},
    }
    first = explained(samples)
    for door, sound in doors.items():
        e = otoscope.explain(sound, band_energy(), **QUICK)
        np.testing.assert_array_equal(e.mask.values, first.mask.values, err_msg=door)
        np.testing.assert_array_equal(e.kept.samples, first.kept.samples, err_msg=door)


def test_a_tensor_and_a_plain_list_of_numbers_are_one_sound():
    samples = tone_and_decoy(0.2)
    first = explained(samples)
    for sound in (torch.from_numpy(samples), samples.astype(float).tolist(), tuple(samples.astype(float).tolist())):
        e = explained(sound)
        assert isinstance(e, otoscope.Explanation)
        np.testing.assert_allclose(e.kept.samples, first.kept.samples, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_list_gives_a_list_in_its_order_and_equals_singles(batch_size):
    rates = [8000, 8000, 44100, 8000, 16000, 8000]
    seconds = [0.3, 0.5, 0.3, 0.3, 0.2, 0.5]
    hz = [1000, 3000, 1000, 3000, 1000, 1000]
    sounds = [
        {"array": tone(f, s, r) + noise(round(s * r), seed=i)[0] * 0.1, "sampling_rate": r}
        for i, (r, s, f) in enumerate(zip(rates, seconds, hz, strict=True))
    ]
    model = band_energy()
    many = otoscope.explain(sounds, model, batch_size=batch_size, **QUICK)
    assert isinstance(many, list)
    assert [e.source.sample_rate for e in many] == rates
    assert [e.target.label for e in many] == ["tone" if f == 1000 else "decoy" for f in hz]
    for sound, e in zip(sounds, many, strict=True):
        single = otoscope.explain(sound, model, **QUICK)
        assert single.target == e.target
        np.testing.assert_allclose(e.attribution.values, single.attribution.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(e.mask.values, single.mask.values, atol=1e-4)
        np.testing.assert_allclose(e.kept.samples, single.kept.samples, atol=1e-5)
        for part in ("original", "kept", "removed"):
            np.testing.assert_allclose(getattr(e.scores, part), getattr(single.scores, part), atol=1e-4)


@pytest.mark.parametrize("method", ["mask_optimisation,steps=4", "rise,masks=12", "smooth_grad,samples=3"])
def test_random_methods_see_the_same_numbers_in_a_batch_and_alone(method):
    sounds = [tone(1000, 0.2), tone_and_decoy(0.2), noise(1600)[0]]
    model = band_energy()
    many = otoscope.explain(sounds, model, sample_rate=RATE, method=method)
    for sound, e in zip(sounds, many, strict=True):
        single = otoscope.explain(sound, model, sample_rate=RATE, method=method)
        np.testing.assert_allclose(e.attribution.values, single.attribution.values, rtol=1e-3, atol=1e-5)


class Counting(BandEnergy):
    """Remembers the sizes of the batches that it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, waveform):
        self.seen.append(len(waveform))
        return super().forward(waveform)


def counting():
    module = Counting()
    return module, otoscope.wrap(module, sample_rate=RATE, labels=["tone", "decoy", "nothing"], check=False)


def test_a_list_runs_in_real_batches_of_at_most_the_batch_size():
    module, model = counting()
    otoscope.explain([tone(1000, 0.1)] * 5, model, sample_rate=RATE, batch_size=4, **QUICK)
    assert max(module.seen) == 4
    assert sum(module.seen) == 5 * 4  # original, attribution, kept, removed


def test_one_explanation_costs_the_passes_of_its_method_and_three():
    module, model = counting()
    explained(tone(1000, 0.1), model=model)
    assert sum(module.seen) == 1 + 3


def test_an_empty_list_gives_an_empty_list():
    assert otoscope.explain([], band_energy(), **QUICK) == []


def test_a_list_with_one_bad_sound_says_which():
    with pytest.raises(AudioReadError, match=r"nowhere\.wav"):
        otoscope.explain([{"array": tone(1000), "sampling_rate": RATE}, "nowhere.wav"], band_energy(), **QUICK)


# Forms of sound


@pytest.mark.parametrize("domain", ["mel", "stft", "time"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_kept_and_removed_sum_to_the_original(rate, channels, domain):
    samples = noise(round(0.25 * rate) + 1, channels) + tone(1000, 0.3, rate)[: round(0.25 * rate) + 1]
    e = explained(samples, rate, domain=domain)
    assert_partition(e, samples, rate)
    assert 0 < e.mask.size < 1


@pytest.mark.parametrize(
    ("rate", "frames"),
    [(384_000, 76_800), (8000, 800), (44_100, 4410), (8000, 1), (44_100, 1), (384_000, 1), (100, 20), (48_000, 2)],
)
def test_odd_rates_and_lengths_work(rate, frames, tmp_path):
    samples = noise(frames, 2)
    e = explained(samples, rate)
    assert_partition(e, samples, rate)
    files = e.save(tmp_path)
    for part in ("original", "kept", "removed"):
        info = soundfile.info(files[part])
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (rate, 2, frames, "FLOAT")
    json.loads((tmp_path / "explanation.json").read_text(), parse_constant=pytest.fail)


def test_a_classifier_with_a_front_end_takes_one_sample():
    e = explained(noise(1), 16000, spectral())
    assert_partition(e, e.source.samples, 16000)


def test_all_channels_are_masked_alike():
    left = tone(1000, 0.5)
    samples = np.stack([left, 0.5 * left, np.zeros_like(left)])
    e = explained(samples)
    np.testing.assert_allclose(e.kept.samples[1], 0.5 * e.kept.samples[0], atol=1e-7)
    assert not e.kept.samples[2].any()
    assert not e.removed.samples[2].any()
    assert np.abs(e.kept.samples[0]).max() > 0.05


def test_it_is_explained_on_the_downmix():
    samples = np.stack([tone(1000, 0.3), tone(3000, 0.3)])
    stereo, mono = explained(samples), explained(samples.mean(0))
    np.testing.assert_array_equal(stereo.mask.values, mono.mask.values)
    np.testing.assert_array_equal(stereo.scores.original, mono.scores.original)


def test_a_sound_that_clips_keeps_its_level(tmp_path):
    samples = 4 * tone_and_decoy(0.3)[None]
    assert np.abs(samples).max() > 1
    e = explained(samples, mask="binary")
    assert_partition(e, samples, RATE)
    files = e.save(tmp_path)
    read = [otoscope.load_audio(files[part]).samples for part in ("original", "kept", "removed")]
    np.testing.assert_array_equal(read[0], samples)
    np.testing.assert_allclose(read[1] + read[2], samples, atol=1e-6)
    assert np.abs(read[1]).max() > 1


def test_the_right_thing_is_kept():
    e = explained(tone_and_decoy(1.0), target="tone", mask="positive:threshold:0.25")
    spectrum = np.abs(np.fft.rfft(e.kept.samples[0]))
    assert spectrum[1000] > 20 * spectrum[3000]
    rest = np.abs(np.fft.rfft(e.removed.samples[0]))
    assert rest[3000] > 20 * rest[1000]
    assert e.scores.of(0)["kept"] > 0.5 > e.scores.of(0)["removed"]


def test_sound_above_the_classifiers_reach_is_removed_and_the_notes_say_so():
    samples = tone(1000, 0.5, 48000) + tone(15000, 0.5, 48000)
    for domain in ("mel", "stft", "time"):
        e = explained(samples, 48000, domain=domain, mask="sigmoid")
        kept, removed = (np.abs(np.fft.rfft(x.samples[0])) for x in (e.kept, e.removed))
        assert kept[7500] < 1e-3 * removed[7500], domain
        assert any("above 4000 Hz" in n and "removed" in n for n in e.notes)
        assert any("resampled 48000 -> 8000 Hz" in n for n in e.notes)


def test_silence_is_explained_and_said_to_be_silent():
    for domain in ("mel", "time"):
        e = explained(np.zeros(4000, np.float32), domain=domain)
        assert e.silent
        assert "the sound is silent" in e.notes
        assert e.verdict().trust == "poor"
        assert "silent" in e.verdict().warnings[0]
        assert not e.kept.samples.any()
        assert not e.removed.samples.any()


def test_silence_survives_the_default_method_and_saves(tmp_path):
    e = otoscope.explain(np.zeros(1600), band_energy(), sample_rate=RATE, method="mask_optimisation,steps=2")
    e.save(tmp_path)
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["verdict"]["trust"] == "poor"
    assert "the sound is silent" in record["notes"]


# Long sounds


def long_source(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    samples = noise(round(seconds * rate), channels, level=0.05)
    samples[:, : round(seconds * rate / 2)] += tone(1000, seconds / 2, rate)[: round(seconds * rate / 2)]
    return samples


def test_thirty_seconds_are_one_window_and_more_are_several():
    assert len(windows_of(otoscope.Clip(np.zeros((1, 30 * 100)), 100), band_energy())) == 1
    spans = windows_of(otoscope.Clip(np.zeros((1, 30 * 100 + 1)), 100), band_energy())
    assert len(spans) == 4
    assert (spans[0].start, spans[-1].stop) == (0, 3001)


@pytest.mark.parametrize(("seconds", "channels"), [(31.0, 2), (65.3, 1)])
@pytest.mark.parametrize("domain", ["mel,bands=16", "time,ms=100"])
def test_long_files_are_joined_without_a_seam(tmp_path, seconds, channels, domain):
    samples = long_source(seconds, channels=channels)
    path = write_wav(tmp_path / "long.wav", samples, RATE)
    e = otoscope.explain(path, band_energy(), target="tone", domain=domain, **QUICK)
    assert e.n_windows > 1
    assert e.mask.grid.duration == pytest.approx(seconds)
    assert e.mask.grid.times[-1] == pytest.approx(seconds, abs=0.2)
    assert_partition(e, samples, RATE)
    files = e.save(tmp_path / "out")
    read = {p: otoscope.load_audio(files[p]).samples for p in ("original", "kept", "removed")}
    np.testing.assert_array_equal(read["original"], samples)
    np.testing.assert_allclose(read["kept"] + read["removed"], samples, rtol=0, atol=1e-6)
    np.testing.assert_allclose(read["kept"], e.kept.samples, rtol=0, atol=1e-6)
    assert any(f"in {e.n_windows} windows" in n for n in e.notes)


def test_long_sounds_keep_standard_errors_and_what_the_method_found_out():
    short = otoscope.explain(otoscope.Clip(tone(1000, 2.0)[None], RATE), band_energy(), method="rise,masks=9")
    assert short.record()["method"]["found"] == {"samples": 9}
    e = otoscope.explain(otoscope.Clip(long_source(31.0), RATE), band_energy(), method="rise,masks=9")
    assert e.n_windows == 4
    assert e.attribution.standard_error.shape == e.attribution.values.shape
    assert np.isfinite(e.attribution.standard_error).all()
    assert e.attribution.standard_error.max() > 0
    assert e.record()["method"]["found"] == {"samples": 9}
    plainly = otoscope.explain(otoscope.Clip(long_source(31.0), RATE), band_energy(), method="gradient")
    assert plainly.attribution.standard_error is None
    assert "found" not in plainly.record()["method"]


def test_infinite_errors_spread_no_further_than_where_they_are():
    clip = otoscope.Clip(long_source(31.0), RATE)
    e = otoscope.explain(clip, band_energy(), method="lime,samples=4", domain="time,ms=500")
    error = e.attribution.standard_error
    assert np.isinf(error).any()
    assert not np.isnan(error).any()


def test_a_steady_long_sound_has_a_steady_mask():
    """Nothing of the windows may show: a steady tone is as loud in the kept sound where windows meet as elsewhere."""
    e = explained(tone(1000, 40.0), target="tone", domain="stft,bands=8,ms=250", mask="positive")
    level = np.sqrt(np.square(e.kept.samples[0, RATE : 39 * RATE]).reshape(-1, RATE // 4).mean(1))
    assert level.min() > 0.8 * level.max() > 0


def test_a_long_sound_with_a_silent_half():
    samples = long_source(40.0)
    samples[:, 20 * RATE :] = 0
    e = explained(samples, target="tone")
    assert not e.silent
    assert not np.abs(e.kept.samples[:, 21 * RATE :]).any()
    assert e.mask.values.max() == 1
    assert not e.mask.values[:, e.mask.grid.times > 21].any()
    assert np.abs(e.kept.samples[:, : 19 * RATE]).max() > 0.05
    assert np.isfinite(e.attribution.values).all()


def test_long_and_short_go_together():
    sounds = [long_source(31.0)[0], tone(3000, 0.3), long_source(33.0)[0], tone(1000, 0.3)]
    many = otoscope.explain(sounds, band_energy(), sample_rate=RATE, **QUICK)
    assert [e.n_windows for e in many] == [4, 1, 4, 1]
    single = otoscope.explain(sounds[2], band_energy(), sample_rate=RATE, **QUICK)
    np.testing.assert_allclose(many[2].mask.values, single.mask.values, atol=1e-4)


def test_a_long_sound_at_another_rate():
    rate = 11025
    samples = long_source(31.0, rate)
    e = explained(samples, rate, target="tone")
    assert_partition(e, samples, rate)
    assert e.heard.of(0)["kept"] == pytest.approx(e.scores.of(0)["kept"], abs=0.1)


def test_long_sounds_are_read_and_rendered_in_parts(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "long.wav", long_source(70.0), RATE)
    source, longest = open_audio(path), []
    read = type(source).read

    def watched(self, start, stop):
        longest.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(type(source), "read", watched)
    monkeypatch.setattr("otoscope.explanation.artifacts.BLOCK", 10 * RATE)
    monkeypatch.setattr("otoscope.audio.source.DIGEST_VALUES", 10 * RATE)
    (e,) = explain_sources([source], band_energy(), make_request("input_x_gradient", "mel", "positive", None, 0, 2))
    e.save(tmp_path / "out", report=False)
    assert 10 * RATE <= max(longest) <= 23 * RATE


# Targets


@pytest.mark.parametrize("target", [1, "decoy", "DECOY", "1", np.int64(1)])
def test_a_target_by_label_or_index(target):
    e = explained(tone(1000, 0.2), target=target)
    assert e.target == otoscope.Target(1, "decoy")
    assert any("explained on request" in w for w in e.verdict().warnings)
    asked = e.record()["target"]["asked"]
    assert json.loads(json.dumps(e.record()["target"])) == {"index": 1, "label": "decoy", "asked": asked}
    assert asked == target


def test_by_default_the_most_probable_class_is_explained():
    assert [explained(tone(hz, 0.2)).target.label for hz in (1000, 3000)] == ["tone", "decoy"]


def test_wrong_targets():
    for target, said in (("tome", "'tone'"), ("", "unknown label"), ("ton\ne", "unknown label")):
        with pytest.raises(UnknownNameError, match=said):
            explained(tone(1000, 0.1), target=target)
    for target in (3, -1, "-1", "3"):
        with pytest.raises(ParameterError, match="3 classes"):
            explained(tone(1000, 0.1), target=target)


@pytest.mark.parametrize("target", [1.5, float("nan"), True, ["tone"], {"a": 1}, np.zeros(2)])
def test_a_target_is_a_name_or_a_number(target):
    with pytest.raises(ParameterError, match="target"):
        explained(tone(1000, 0.1), target=target)


# Sameness


@pytest.mark.parametrize("method", ["rise,masks=8", "mask_optimisation,steps=3", "smooth_grad,samples=3"])
def test_the_seed_decides_and_the_global_state_does_not(method):
    sound = tone_and_decoy(0.2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = explained(sound, method=method, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two, other = explained(sound, method=method, seed=3), explained(sound, method=method, seed=4)
    np.testing.assert_array_equal(one.attribution.values, two.attribution.values)
    assert not np.array_equal(one.attribution.values, other.attribution.values)


def test_the_callers_array_and_model_are_as_before():
    class Stateful(BandEnergy):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.drop = nn.Dropout(0.5)

        def forward(self, waveform):
            self.calls += 1
            return self.drop(super().forward(waveform))

    module = Stateful().train()
    module.drop.eval()
    module.level.grad = torch.tensor(7.0)
    model = otoscope.wrap(module, sample_rate=RATE, labels=3)
    samples = tone_and_decoy(0.2)[None]
    before, digest, hook = samples.copy(), model.digest(), module.register_forward_hook(lambda *a: None)
    e = otoscope.explain(samples, model, sample_rate=RATE, **QUICK)
    _ = e.heard
    e.kept.samples.sum()
    np.testing.assert_array_equal(samples, before)
    assert samples.flags.writeable
    assert module.training
    assert not module.drop.training
    assert module.level.requires_grad
    assert module.level.grad == 7.0
    assert module.calls == 0
    assert model.digest() == digest
    assert len(module._forward_hooks) == 1
    hook.remove()


def test_the_explanation_does_not_change_when_the_callers_array_does():
    samples = tone_and_decoy(0.2)
    e = explained(samples)
    kept = e.kept.samples.copy()
    samples[:] = 0
    del e.__dict__["kept"]
    np.testing.assert_array_equal(e.kept.samples, kept)


# Classifiers that go wrong


class Faulty(BandEnergy):
    """Goes wrong at the n-th call."""

    def __init__(self, act, at=0):
        super().__init__()
        self.act, self.at, self.n = act, at, 0

    def forward(self, waveform):
        self.n += 1
        logits = super().forward(waveform)
        return logits if self.n <= self.at else self.act(logits)


def raising(error):
    def act(_logits):
        raise error

    return act


def faulty(act, at=0):
    return otoscope.wrap(
        Faulty(act, at), sample_rate=RATE, labels=["tone", "decoy", "nothing"], name="faulty", check=False
    )


LATER = [0, 1, 2, 3]
MEMORY = (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory"))


@pytest.mark.parametrize("at", LATER)
@pytest.mark.parametrize("error", MEMORY, ids=["device", "host"])
def test_out_of_memory_names_the_batch_size(error, at):
    with pytest.raises(DeviceMemoryError, match=r"batch of 3;.*--batch-size"):
        otoscope.explain([tone(1000, 0.1)] * 3, faulty(raising(error), at), sample_rate=RATE, **QUICK)


@pytest.mark.parametrize("error", MEMORY, ids=["device", "host"])
def test_out_of_memory_in_the_backward_pass(error):
    class Hungry(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, _gradient):
            raise error

    with pytest.raises(DeviceMemoryError, match="out of memory with a batch of"):
        explained(tone(1000, 0.1), model=faulty(Hungry.apply))


@pytest.mark.parametrize("error", MEMORY, ids=["device", "host"])
def test_out_of_memory_while_classifying_listening_or_in_a_long_sound(error):
    model = faulty(raising(error))
    with pytest.raises(DeviceMemoryError, match="batch of 1;"):
        otoscope.classify(tone(1000, 0.1), model, sample_rate=RATE)
    with pytest.raises(DeviceMemoryError, match="batch of 2;"):
        otoscope.explain(long_source(31.0), model, sample_rate=RATE, batch_size=2, **QUICK)
    with pytest.raises(DeviceMemoryError, match="batch of 1;"):
        _ = explained(tone(1000, 0.1), model=faulty(raising(error), 4)).heard


@pytest.mark.parametrize("at", LATER)
def test_a_module_that_raises_is_named_in_one_line(at):
    with pytest.raises(
        OtoscopeError, match=r"'faulty' failed on a sound \(RuntimeError: sizes do not match\)"
    ) as caught:
        explained(tone(1000, 0.1), model=faulty(raising(RuntimeError("sizes\n do not match")), at))
    assert "\n" not in str(caught.value)


def test_a_module_that_raises_while_classifying_or_listening_is_named_too():
    error = IndexError("no such frame")
    with pytest.raises(OtoscopeError, match="'faulty' failed on a sound"):
        otoscope.classify(tone(1000, 0.1), faulty(raising(error)), sample_rate=RATE)
    with pytest.raises(OtoscopeError, match="'faulty' failed on a sound"):
        _ = explained(tone(1000, 0.1), model=faulty(raising(error), 4)).heard


@pytest.mark.parametrize("at", LATER)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_module_that_returns_nan(at, value):
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        explained(tone(1000, 0.1), model=faulty(lambda x: x * value, at))


def test_a_module_that_returns_something_else():
    for act, said in (
        (lambda x: "x", "returned str"),
        (lambda x: x[:, :2], r"\(1, 2\) for 1 waveforms .*expected \(1, 3\)"),
    ):
        with pytest.raises(ShapeError, match=said):
            explained(tone(1000, 0.1), model=faulty(act))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("x"), torch.OutOfMemoryError("x")])
@pytest.mark.parametrize("at", LATER)
def test_after_an_error_or_an_interrupt_the_model_is_as_before(error, at):
    model = faulty(raising(error), at)
    module = model.network.train()
    with pytest.raises((KeyboardInterrupt, OtoscopeError)):
        explained(tone(1000, 0.1), model=model)
    assert module.training
    assert module.level.requires_grad
    assert module.level.grad is None
    assert not module._forward_hooks


def test_a_module_without_gradients_is_told_what_works():
    with pytest.raises(UnsupportedError, match="mask_evolution, lime, kernel_shap, rise or occlusion"):
        explained(tone(1000, 0.1), model=faulty(lambda x: x.detach()))
    e = explained(tone(1000, 0.1), model=faulty(lambda x: x.detach()), method="rise,masks=4")
    assert e.target.label == "tone"


def test_methods_and_domains_that_a_classifier_cannot_do():
    with pytest.raises(UnsupportedError, match="has no convolutional layer"):
        explained(tone(1000, 0.1), method="grad_cam")
    with pytest.raises(UnsupportedError, match="features"):
        explained(tone(1000, 0.1), domain="features")
    with pytest.raises(UnknownNameError, match="layer"):
        explained(noise(3200), 16000, spectral(), method="grad_cam,layer=9")


def test_a_classifier_for_one_length_only_hears_longer_sounds_in_windows():
    assert explained(noise(800), model=linear(800)).n_windows == 1
    assert explained(noise(1600), model=linear(800)).n_windows > 1


def test_rendering_first_does_not_spoil_gradients_later():
    """What is kept between calls must serve passes with gradients, whoever made it."""
    importlib.import_module("otoscope.spectral.stft")._window.cache_clear()
    sound = noise(16000)
    explained(sound, 16000).kept.samples.sum()  # renders at 16 kHz, where nothing has needed a gradient yet
    assert explained(sound, 16000, spectral()).attribution.values.any()


def test_a_module_that_keeps_a_tensor_between_calls_can_still_be_trained():
    class Keeping(BandEnergy):
        window = None

        def forward(self, waveform):
            if self.window is None:
                self.window = torch.hann_window(waveform.shape[-1])
            return super().forward(waveform * self.window)

    model = otoscope.wrap(Keeping(), sample_rate=RATE, labels=3)
    otoscope.classify(tone(1000, 0.1), model, sample_rate=RATE)
    assert explained(tone_and_decoy(0.1), model=model, target=0).attribution.values.any()
    waveform = torch.zeros(1, 800, requires_grad=True)
    model(waveform).sum().backward()


# captum


def test_a_captum_object_or_class_is_a_method():
    attr = pytest.importorskip("captum.attr")
    module = BandEnergy()
    model = otoscope.wrap(module, sample_rate=RATE, labels=["tone", "decoy", "nothing"])
    ours = explained(tone_and_decoy(0.2), model=model, method="input_x_gradient")
    for method in (attr.InputXGradient(module), attr.InputXGradient):
        e = explained(tone_and_decoy(0.2), model=model, method=method)
        np.testing.assert_allclose(e.attribution.values, ours.attribution.values, rtol=1e-4, atol=1e-6)
    assert explained(tone(1000, 0.1), model=model, method=attr.Saliency(module)).record()["method"]["name"] == (
        "captum:Saliency"
    )


def test_things_that_are_no_method():
    for method in (5, object(), ["rise"]):
        with pytest.raises(ParameterError, match="method"):
            explained(tone(1000, 0.1), method=method)


# Bad sounds by the Python door


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sounds_that_are_not_finite_are_refused_at_every_door(value):
    samples = tone(1000, 0.1)
    samples[7] = value
    for sound in (samples, {"array": samples, "sampling_rate": RATE}, otoscope.Clip(samples[None], RATE)):
        with pytest.raises(AudioReadError, match="NaN or infinite"):
            otoscope.explain(sound, band_energy(), sample_rate=RATE, **QUICK)
        with pytest.raises(AudioReadError, match="NaN or infinite"):
            otoscope.classify(sound, band_energy(), sample_rate=RATE)


def test_clips_that_are_no_sound_are_refused():
    for clip, said in (
        (otoscope.Clip(np.zeros((1, 0)), RATE), "length is zero"),
        (otoscope.Clip(np.zeros((0, 10)), RATE), "0 channels"),
        (otoscope.Clip(np.zeros((1, 10)), 1), "sample rate is 1 Hz"),
        (otoscope.Clip(np.zeros((1, 10)), 0), "sample rate is 0 Hz"),
    ):
        with pytest.raises(AudioReadError, match=said):
            otoscope.explain(clip, band_energy(), **QUICK)


def test_classify_gives_labels_and_scores():
    found = otoscope.classify(tone(1000, 0.2), band_energy(), sample_rate=RATE, top_k=2)
    assert [x["label"] for x in found] == ["tone", "nothing"]
    assert all(set(x) == {"label", "score"} and type(x["score"]) is float for x in found)
    assert found[0]["score"] > found[1]["score"]
    everything = otoscope.classify(tone(1000, 0.2), band_energy(), sample_rate=RATE, top_k=99)
    assert sum(x["score"] for x in everything) == pytest.approx(1, abs=1e-5)


def test_classify_says_what_explain_says():
    for sound in (tone_and_decoy(0.3), long_source(31.0)):
        e = explained(sound)
        (top,) = otoscope.classify(sound, band_energy(), sample_rate=RATE, top_k=1)
        assert top["label"] == e.target.label
        assert top["score"] == pytest.approx(e.scores.of(e.target.index)["original"], abs=1e-6)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True])
def test_classify_refuses_an_impossible_batch(batch_size):
    with pytest.raises(ParameterError, match="batch_size"):
        otoscope.classify(tone(1000, 0.2), band_energy(), sample_rate=RATE, batch_size=batch_size)


def test_the_default_model_names_what_it_hears(esc10_mn):
    found = otoscope.classify(noise(32000), sample_rate=32000)
    assert len(found) == 5
    assert {x["label"] for x in found} <= set(esc10_mn.labels)


def test_a_background_can_be_data(tmp_path):
    sounds = [(write_wav(tmp_path / f"{i}.wav", 0.1 * tone(500.0 * (i + 1), 0.2)[None], RATE), "") for i in range(2)]
    background = Background("mine", sounds)
    settings = {"samples": 4, "background": background}
    e = explained(tone(1000, 0.2), method=("gradient_shap", settings))
    assert e.background == ("mine", background.digest(2, 0))
    assert e.record()["method"]["background"] == {"path": "mine", "sha256": background.digest(2, 0)}
    assert "background=mine" in e.request.spec["method"]

"""Networks that take a sound in chunks and keep a state."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import otoscope
from otoscope.audio.resample import resample
from otoscope.classifiers.streaming import chunks, frames_of, rate_parameter, reset_of
from otoscope.core.errors import ParameterError, UnsupportedError

RATE = 1000


class Loudness(nn.Module):
    """Takes 160 samples; its score is a running mean of their power, which it remembers, in units of the rate."""

    def __init__(self):
        super().__init__()
        self.memory = torch.zeros(0)

    @torch.jit.export
    def reset_states(self):
        self.memory = torch.zeros(0)

    def forward(self, x, sr: int):
        if x.shape[-1] != 160:
            raise ValueError("160 samples, please")
        if len(self.memory) != len(x):
            self.memory = torch.zeros(len(x))
        self.memory = 0.5 * self.memory + x.square().mean(-1)
        return self.memory * (sr / 1000)


def running(sound):
    """The same in a loop."""
    memory, found = 0.0, []
    padded = np.append(sound, np.zeros(-len(sound) % 160))
    for i in range(0, len(padded), 160):
        memory = 0.5 * memory + (padded[i : i + 160] ** 2).mean()
        found.append(memory)
    return np.array(found)


def sounds(n=2, frames=1000):
    return torch.from_numpy(0.3 * np.random.default_rng(0).standard_normal((n, frames)).astype(np.float32))


def wrapped(module, **said):
    settings = {"sample_rate": RATE, "labels": ["sound"], "outputs": "logits", "pool": "max", **said}
    return otoscope.wrap(module, **settings)


@pytest.mark.parametrize("made", [lambda net: net, torch.jit.script])
@pytest.mark.parametrize("chunk", [None, 160])
def test_a_network_of_chunks_answers_for_whole_sounds(made, chunk, caplog):
    model = wrapped(made(Loudness()), chunk=chunk)
    assert ("takes 160 samples at a time" in caplog.text) == (chunk is None)
    assert model.labels == ("not sound", "sound")
    assert model.doubts == ()
    x = sounds()
    frames = model.frame_logits(x)
    difference = (frames[..., 1] - frames[..., 0]).numpy()
    expected = np.stack([running(sound) for sound in x.double().numpy()])
    np.testing.assert_allclose(difference, expected, rtol=1e-5)
    logits = model(x)
    np.testing.assert_allclose((logits[:, 1] - logits[:, 0]).numpy(), expected.max(1), rtol=1e-5)


def test_the_state_is_that_of_before():
    net = Loudness()
    net(sounds(3, 160), RATE)
    before = net.memory.clone()
    model = wrapped(net)
    made = otoscope.explain(sounds(1)[0].numpy(), model, sample_rate=RATE, method="gradient", domain="time")
    assert np.abs(made.attribution.values).max() > 0
    assert torch.equal(net.memory, before)


def test_gradients_pass_through_the_state():
    model = wrapped(Loudness(), pool="mean")
    x = sounds(1).requires_grad_()
    last = model.frame_logits(x)[0, -1, 1]
    (gradient,) = torch.autograd.grad(last, x)
    assert gradient[0, :160].abs().max() > 0
    # half of the difference of the two logits; the first of seven chunks is halved six times
    torch.testing.assert_close(gradient[0, :160], x[0, :160].detach() * 2 / 160 / 2**6 / 2)


@given(frames=st.integers(1, 60), chunk=st.integers(1, 20), context=st.integers(0, 20))
def test_chunks_are_the_sound_with_what_came_before(frames, chunk, context):
    x = torch.arange(1.0, frames + 1)[None]
    parts = chunks(x, chunk, context)
    assert parts.shape == (1, -(-frames // chunk), context + chunk)
    assert torch.equal(parts[:, :, context:].reshape(1, -1)[:, :frames], x)
    for i in range(parts.shape[1]):
        for j in range(context + chunk):
            place = i * chunk + j - context
            assert parts[0, i, j] == (place + 1 if 0 <= place < frames else 0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"chunk": 0}, "chunk must be a whole number of samples of at least 1, up to 10,000,000; got 0"),
        ({"chunk": 1.5}, "chunk must be a whole number"),
        ({"chunk": 10**9}, "up to 10,000,000; got 1000000000"),
        ({"chunk": 160, "context": "64"}, "context must be a whole number of samples"),
        ({"context": 64, "frontend": "log_mel"}, "chunk is for modules that take waveforms"),
        ({"chunk": 160, "context": -1}, "context must be a whole number of samples of at least 0"),
        ({"context": 4}, "pass chunk"),
        ({"chunk": 160, "frontend": "log_mel"}, "chunk is for modules that take waveforms"),
        ({"chunk": 160, "pool": None}, "scores chunks of 160 samples; choose how .*pool='max'"),
        ({"pool": None}, "Loudness keeps a state and takes 160 samples at a time; choose how"),
        ({"chunk": 100}, r"fails on sounds .*160 samples, please"),
    ],
)
def test_what_is_said_wrong(said, words):
    with pytest.raises(ParameterError, match=words):
        wrapped(Loudness(), **said)


def test_a_state_that_cannot_be_cleared_is_told():
    class Sticky(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Loudness()

        def forward(self, x):
            return self.inner(x, RATE)

    model = wrapped(Sticky(), chunk=160)
    assert "keeps a state between calls" in model.doubts[0]


def test_whole_sounds_with_a_state_and_a_rate():
    class Whole(nn.Module):
        calls = 0

        def reset_state(self):
            self.calls = 0

        def forward(self, x, sample_rate):
            self.calls += 1
            return torch.stack([x.square().mean(-1) * sample_rate, x.abs().mean(-1) * self.calls], -1)

    net = Whole()
    model = otoscope.wrap(net, sample_rate=RATE, outputs="logits")
    x = sounds()
    assert model.doubts == ()
    torch.testing.assert_close(model(x), torch.stack([x.square().mean(-1) * RATE, x.abs().mean(-1)], -1))


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda self, x: x, None),
        (lambda self, sr: sr, None),
        (lambda self, x, sr: x, "sr"),
        (lambda self, x, sample_rate: x, "sample_rate"),
        (lambda self, x, sr=16000: x, "sr"),
        (lambda self, x, *, fs: x, "fs"),
        (lambda self, x, lengths: x, None),
        (lambda self, *x: x, None),
    ],
)
def test_the_name_of_the_rate(forward, expected):
    assert rate_parameter(type("Net", (nn.Module,), {"forward": forward})()) == (expected, False)


def test_rates_of_torchscript():
    class Rated(nn.Module):
        def forward(self, x, sr: torch.Tensor):
            return torch.stack([x.mean(-1) + sr, x.abs().mean(-1)], -1)

    assert rate_parameter(torch.jit.script(Loudness())) == ("sr", False)
    assert rate_parameter(torch.jit.script(nn.Linear(2, 2))) == (None, False)
    assert rate_parameter(torch.jit.script(Rated())) == ("sr", True)
    model = otoscope.wrap(torch.jit.script(Rated()), sample_rate=float(RATE), outputs="logits")
    assert float(model(torch.zeros(1, RATE))[0, 0]) == RATE


class Reinitialised(nn.Module):
    """Its `reset` draws new weights; it keeps no state."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)

    def reset(self):
        nn.init.normal_(self.head.weight)

    def forward(self, x):
        return self.head(x.square().mean(-1, keepdim=True))


class Gated(nn.Module):
    """`reset_states` is a layer, and takes an argument."""

    def __init__(self):
        super().__init__()
        self.reset_states = nn.Linear(1, 2)

    def forward(self, x):
        return self.reset_states(x.square().mean(-1, keepdim=True))


@pytest.mark.parametrize("made", [Reinitialised, Gated])
def test_what_only_sounds_like_a_state_is_left_alone(made):
    net = made()
    before = [p.clone() for p in net.parameters()]
    assert reset_of(net) is None
    model = otoscope.wrap(net, sample_rate=RATE)
    assert model.network is net
    model(sounds())
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_methods_that_clear_a_state():
    methods = {
        "plain": lambda self: None,
        "default": lambda self, batch=1: None,
        "needs": lambda self, batch: None,
        "any": lambda self, *sizes: None,
    }
    found = {
        name: reset_of(type("Net", (nn.Module,), {"reset_states": m})()) is not None for name, m in methods.items()
    }
    assert found == {"plain": True, "default": True, "needs": False, "any": True}
    named = type("Net", (nn.Module,), {"reset": lambda self: None})()
    assert reset_of(named) is None
    assert reset_of(named, ("reset",)) is not None


def test_layers_keep_the_names_of_the_module():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 2, 16, 8)

        def reset_states(self):
            pass

        def forward(self, x):
            return self.conv(x[:, None]).relu().mean(-1)

    model = otoscope.wrap(Whole(), sample_rate=RATE, cam_layer="conv", axes={"conv": "channel frame"})
    made = otoscope.explain(sounds(1)[0].numpy(), model, sample_rate=RATE, method="grad_cam", domain="time")
    assert np.isfinite(made.attribution.values).all()


@pytest.mark.parametrize("known", [{"window_s": 0.5, "min_s": 0.5}, {"window_s": 0.5}])
def test_a_length_that_is_given_is_tried_first(known):
    class Half(nn.Module):
        def reset_states(self):
            pass

        def forward(self, x):
            if x.shape[-1] % 500:
                raise ValueError("multiples of 500")
            return torch.stack([x.mean(-1), x.square().mean(-1)], -1)

    model = otoscope.wrap(Half(), sample_rate=RATE, **known)
    assert model.network.chunk is None
    assert model.window_s == 0.5


@pytest.mark.parametrize(
    ("shape", "batch", "expected"),
    [((3,), 3, (3, 1, 1)), ((), 1, (1, 1, 1)), ((4,), 1, (1, 1, 4)), ((3, 2), 3, (3, 1, 2)), ((3, 5, 2), 3, (3, 5, 2))],
)
def test_scores_of_a_chunk_as_frames(shape, batch, expected):
    assert frames_of(torch.zeros(shape), batch).shape == expected


def test_an_entry_of_what_chunks_return_and_frames_within_them():
    class Several(nn.Module):
        def forward(self, x):
            power = x.square().unflatten(-1, (2, -1)).mean(-1)  # (batch, 2 frames)
            return {"state": None, "scores": torch.stack([power, -power], -1)}

    model = otoscope.wrap(Several(), sample_rate=RATE, chunk=100, output="scores", pool="mean", outputs="logits")
    x = sounds(2, 500)
    frames = model.frame_logits(x)
    assert frames.shape == (2, 10, 2)
    torch.testing.assert_close(frames[..., 0], x.square().unflatten(-1, (10, -1)).mean(-1))


def test_a_layer_that_hears_chunk_after_chunk_has_no_map():
    class Chunked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 2, 16, 8)

        def forward(self, x):
            return self.conv(x[:, None]).relu().mean(-1)

    model = otoscope.wrap(Chunked(), sample_rate=RATE, chunk=160, pool="mean")
    with pytest.raises(UnsupportedError, match="is used 7 times in a forward pass"):
        otoscope.explain(sounds(1)[0].numpy(), model, sample_rate=RATE, method="grad_cam")


class Power(nn.Module):
    """Takes any number of samples."""

    def forward(self, x):
        return x.square().mean(-1)


def test_settings_are_part_of_the_digest():
    digests = [wrapped(Power(), chunk=n, context=m).digest() for n, m in ((160, 0), (160, 0), (80, 0), (160, 80))]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3

    class Named(Power):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def state_settings(self):
            return {"name": self.name}

    assert wrapped(Named("a"), chunk=80).digest() != wrapped(Named("b"), chunk=80).digest()


def test_a_module_is_not_tried_unless_it_may_be():
    calls = []

    class Counted(Loudness):
        def forward(self, x, sr: int):
            calls.append(len(x))
            return super().forward(x, sr)

    otoscope.wrap(Counted(), sample_rate=RATE, labels=2, check=False)
    assert calls == []


@pytest.fixture(scope="module")
def silero():
    """The folder of silero-vad's model files."""
    found = importlib.util.find_spec("silero_vad")
    if found is None:
        pytest.skip("silero-vad is not installed")
    return Path(found.origin).parent / "data"


def test_silero_vad_hears_speech_from_either_file(silero, shared):
    pytest.importorskip("onnxruntime")
    said = {"sample_rate": 16000, "pool": "max"}
    script = otoscope.load_classifier(silero / "silero_vad.jit", labels=["speech"], options=said)
    whole = {**said, "chunk": 512, "context": 64}
    net = otoscope.load_classifier(silero / "silero_vad.onnx", labels=["speech"], options=whole)
    for name, least, most in (("speech.wav", 0.95, 1.0), ("typing.wav", 0.0, 0.5)):
        clip = otoscope.load_audio(shared(f"clips/{name}"))
        sound = resample(clip.samples.mean(0, keepdims=True), clip.sample_rate, 16000)
        waveform = torch.from_numpy(np.ascontiguousarray(sound, np.float32))
        one, other = (model.frame_logits(waveform).softmax(-1) for model in (script, net))
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
        assert least <= float(script.probabilities(script(waveform))[0, 1].detach()) <= most

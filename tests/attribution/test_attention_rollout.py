from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers import build
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.surgery import record_attention
from reference import attention as slow
from worlds import RATE, attentive, planted

PLACE = ((3.5, 8.0), (2.0, 5.0))  # of the attentive world's patches, in bands and frames


def recorded(problem, world=attentive):
    """Attention of each clip and layer, asked of a fresh network."""
    inspected, network = problem.inspected, world().network
    features = inspected.classifier.features(inspected.waveform)
    with torch.no_grad(), record_attention(network) as seen:
        network(features)
    return [[layer.weights[clip].double().numpy() for layer in seen] for clip in range(problem.batch)]


SETTINGS = [
    {},
    {"residual": 0.2},
    {"residual": 0.0, "heads": "max"},
    {"heads": "min"},
    {"discard_lowest": 0.5},
    {"discard_lowest": 0.97, "heads": "max", "residual": 0.3},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_the_slow_twin(ask, values, noise, settings):
    problem = ask(attentive(), noise(6000, batch=2), "features")
    found = values(problem, "attention_rollout", **settings)
    twin = {"lowest" if k == "discard_lowest" else k: v for k, v in settings.items()}
    for clip, layers in enumerate(recorded(problem)):
        row = slow.read(slow.rollout(layers, **twin, own=1), own=1)
        expected = slow.on_features(row[1:].reshape(4, -1), PLACE, problem.shape)
        np.testing.assert_allclose(found[clip], expected, rtol=1e-3, atol=1e-6)
    assert found.min() >= 0


def test_settings_change_what_is_found(ask, values, noise):
    problem = ask(attentive(), noise(6000), "mel")
    found = [values(problem, "attention_rollout", **settings) for settings in SETTINGS]
    assert all(not np.allclose(a, b, rtol=1e-3) for i, a in enumerate(found) for b in found[:i])


def test_it_is_the_same_for_every_class(ask, values, noise):
    x = noise(6000)
    first, other = (values(ask(attentive(), x, "mel", target=t), "attention_rollout") for t in (0, 1))
    np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout", "amt"])
@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 1), (3, 4)])
@pytest.mark.parametrize("domain", ["mel", "stft", "features", "time"])
def test_planted_attention_is_found_where_its_patch_sounds(ask, values, noise, domain, row, column, method):
    world = planted(row, column)
    problem = ask(world, noise(16000), domain)
    found, grid = values(problem, method)[0], problem.inspected.grid
    band, frame = np.unravel_index(found.argmax(), found.shape)
    assert abs(grid.times[frame] - world.frontend.frame_times(120)[10 + 20 * column]) < 0.06
    if domain == "time":
        return
    low, high = world.frontend.band_frequencies()[[8 * row, 8 * row + 7]]
    near = {0: (0, high), 3: (low, 8000)}.get(row, (low, high))
    assert near[0] <= grid.frequencies[band] <= near[1], grid.frequencies[band]
    inside = found > found.min() + 0.5 * np.ptp(found)
    assert inside.mean() < 0.35


class OverFrames(nn.Module):
    """No front end, no class token: tokens are stretches of 400 samples; attention to loud ones."""

    def __init__(self):
        super().__init__()
        self.cut, self.attention = nn.Conv1d(1, 8, 400, 400), nn.MultiheadAttention(8, 1, batch_first=True)
        nn.init.zeros_(self.cut.bias)
        for weights in (self.cut.weight, self.attention.in_proj_weight):
            nn.init.constant_(weights, 0.5)

    def forward(self, waveform):
        x = self.cut(waveform.abs()[:, None]).transpose(1, 2)
        return self.attention(x, x, x, need_weights=False)[0].mean(1)[:, :2]


def over_frames():
    axes, place = {"attention": "frame channel"}, ((0.0, 1.0), (199.5, 400.0))
    return otoscope.Classifier(
        OverFrames(), sample_rate=RATE, labels=["a", "b"], axes=axes, places={"attention": place}, cam_layer="cut"
    )


@pytest.mark.parametrize("method", ["attention_rollout", "amt"])
def test_without_class_tokens_all_tokens_are_read_and_lie_along_time(ask, values, method):
    x = np.full(RATE, 0.01, np.float32)
    x[5600:6000] = 0.5
    problem = ask(over_frames(), x, "time", ms=10)
    found = values(problem, method)[0, 0]
    assert problem.inspected.grid.times[found.argmax()] == pytest.approx(5800 / RATE, abs=0.006)
    with torch.no_grad(), record_attention(problem.inspected.classifier.network) as seen:
        problem.inspected.original()
    expected = slow.read(seen[0].weights[0].mean(0).double().numpy(), 0)
    share = 0.5 if method == "attention_rollout" else 1.0
    at = [np.abs(problem.inspected.grid.times - (199.5 + 400 * i) / RATE).argmin() for i in (2, 14)]
    middles = (199.5 + 400 * np.arange(20)) / RATE
    wanted = np.interp(problem.inspected.grid.times[at], middles, share * expected + (1 - share) / 20)
    np.testing.assert_allclose(found[at], wanted, rtol=1e-4)


@pytest.mark.parametrize("domain", ["mel", "features"])
@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout", "amt", "grad_cam", "layer_cam"])
def test_a_batch_is_its_clips_in_chunks_of_any_size(ask, values, noise, domain, method):
    x, world = noise(6000, batch=4) * np.array([[1], [0.3], [0.1], [2]]), attentive()
    whole = values(ask(world, x, domain, target=[0, 1, 2, 3]), method)
    small = values(ask(world, x, domain, target=[0, 1, 2, 3], batch_size=3), method)
    singles = [values(ask(world, x[i], domain, target=i), method)[0] for i in range(4)]
    scale = np.abs(whole).max()
    np.testing.assert_allclose(small, whole, rtol=1e-3, atol=1e-5 * scale)
    np.testing.assert_allclose(np.stack(singles), whole, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize("method", ["attention_rollout", "amt"])
def test_one_pass_a_clip_and_no_more_than_the_batch_size_at_once(ask, values, noise, method):
    problem, ticks, rows = ask(attentive(), noise(6000, batch=5), "mel", batch_size=2), [], []
    problem.tick = ticks.append
    handle = problem.inspected.classifier.network.register_forward_hook(lambda m, x, y: rows.append(len(y)))
    values(problem, method)
    handle.remove()
    assert ticks == rows == [2, 2, 1]
    assert problem.inspected.passes == 5


def test_the_front_end_runs_once(ask, values, noise):
    problem, runs = ask(attentive(), noise(6000), "mel"), []
    handle = problem.inspected.classifier.frontend.register_forward_hook(lambda *_: runs.append(1))
    for method in ("grad_cam", "grad_cam_pp", "layer_cam", "attention_rollout", "gradient_rollout", "amt"):
        runs.clear()
        values(problem, method)
        assert runs == [1], method
    handle.remove()


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout", "amt"])
def test_a_small_passt_is_asked(ask, values, method):
    torch.manual_seed(0)
    model = build("passt", 3, settings={"dim": 32, "depth": 2, "heads": 2}).eval()
    with torch.no_grad():
        for p in model.network.blocks.parameters():
            p += 0.2 * torch.randn_like(p)
    x = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    problem = ask(model, x, "features", target=1)
    found = values(problem, method)[0]
    layers = recorded(problem, lambda: model)[0]
    assert layers[0].shape == (2, 2 + 12 * 4, 2 + 12 * 4)
    place = ((7.5, 10.0), (7.5, 10.0))
    if method == "gradient_rollout":
        assert found.min() >= 0
        assert found.std() > 0
        return
    matrix = slow.rollout(layers) if method == "attention_rollout" else layers[-1].mean(0)
    expected = slow.on_features(slow.read(matrix, 2)[2:].reshape(12, 4), place, problem.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"residual": 1.0}, ParameterError, r"residual must lie in \[0, 0.99\]"),
        ({"discard_lowest": -0.1}, ParameterError, "discard_lowest must lie in"),
        ({"heads": "meen"}, UnknownNameError, "did you mean 'mean'"),
    ],
)
def test_wrong_settings_are_refused(ask, values, noise, settings, error, words):
    with pytest.raises(error, match=words):
        values(ask(attentive(), noise(6000), "mel"), "attention_rollout", **settings)

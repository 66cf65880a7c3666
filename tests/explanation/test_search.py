"""Masks that are searched for with the classifier's answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.core.records import Attribution, Grid
from otoscope.explanation.request import FORWARD_DOMAIN, FORWARD_METHOD
from otoscope.explanation.search import is_searched, ranked
from otoscope.masks import parse_mask, to_mask

RATE = 8000


class Alarm(nn.Module):
    """Hears an alarm where there is energy around 3 kHz in the second half."""

    def forward(self, x):
        half = x[:, x.shape[-1] // 2 :]
        power = torch.fft.rfft(half).abs().square() / half.shape[-1]
        bins = torch.linspace(0, RATE / 2, power.shape[-1])
        inside = power[:, (bins > 2800) & (bins < 3200)].sum(1)
        return torch.stack([torch.zeros_like(inside), 12 * (inside / 90).clamp(max=1) - 6], 1)


@pytest.fixture(scope="module")
def alarm():
    return otoscope.wrap(Alarm(), sample_rate=RATE, labels=["quiet", "alarm"], outputs="logits", check=False)


def scene(seconds=1.0):
    t = np.arange(round(seconds * RATE)) / RATE
    hum = 0.3 * np.sin(2 * np.pi * 300 * t)
    tone = 0.3 * np.sin(2 * np.pi * 3000 * t) * (t >= seconds / 2)
    return (hum + tone + 0.001 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


def explained(model, mask, sound=None, **more):
    options = {
        "method": "occlusion,patches_freq=8,patches_time=8",
        "domain": "mel,bands=16,ms=62.5",
        "target": "alarm",
        **more,
    }
    return otoscope.explain(scene() if sound is None else sound, model, sample_rate=RATE, mask=mask, **options)


def test_the_smallest_mask_holds_the_decision_and_loses_it(alarm):
    found = explained(alarm, "smallest")
    heard = found.heard.of(1)
    assert heard["kept"] >= 0.9 * heard["original"]
    assert heard["removed"] <= 0.05 * heard["original"]
    everything = explained(alarm, "topk:1.0")
    assert found.mask.size < 0.3 < everything.mask.size
    cells = found.mask.values > 0
    assert found.mask.grid.times[cells.any(0)].min() > 0.3  # the second half
    assert found.verdict().trust == "good"


def test_the_halves_are_no_larger_than_the_whole(alarm):
    sizes = {mask: explained(alarm, mask).mask.size for mask in ("smallest", "sufficient", "necessary")}
    assert sizes["sufficient"] <= sizes["smallest"]
    assert sizes["necessary"] <= sizes["smallest"]
    assert explained(alarm, "sufficient").heard.of(1)["kept"] >= 0.9 * 0.99
    assert explained(alarm, "necessary").heard.of(1)["removed"] <= 0.05


def test_thresholds_are_settings(alarm):
    loose, strict = explained(alarm, "smallest:0.5:0.5"), explained(alarm, "smallest:0.99:0.01")
    assert loose.mask.size <= strict.mask.size
    assert loose.mask.spec == "smallest:0.5:0.5"
    assert loose.record()["request"]["mask"] == "smallest:0.5:0.5"


def test_where_no_share_does_both_the_best_is_given_and_said():
    class Prior(nn.Module):
        def forward(self, x):
            return torch.stack([0 * x[:, 0], 2 + 0.1 * x.abs().mean(1)], 1)

    model = otoscope.wrap(Prior(), sample_rate=RATE, labels=["no", "alarm"], outputs="logits", check=False)
    found = explained(model, "smallest")
    assert found.verdict().trust != "good"
    assert any("removed sound still carries the answer" in w for w in found.verdict().warnings)


def test_sixteen_passes_a_clip():
    counted = []

    class Counting(Alarm):
        def forward(self, x):
            counted.append(len(x))
            return super().forward(x)

    model = otoscope.wrap(Counting(), sample_rate=RATE, labels=["quiet", "alarm"], outputs="logits", check=False)
    explained(model, "positive")
    plain = sum(counted)
    counted.clear()
    explained(model, "smallest")
    assert sum(counted) == plain + 16


def test_long_sounds_are_searched_window_by_window(alarm):
    found = explained(alarm, "smallest", sound=np.tile(scene(), 35), domain="mel,bands=16,ms=250")
    assert found.n_windows > 1
    assert 0 < found.mask.size < 1


def test_cells_of_one_value_are_kept_together_and_the_share_is_exact_otherwise():
    grid = Grid(np.array([100.0, 300.0]), np.array([0.1, 0.2, 0.3]), "hz", "stft", 0.4, 400.0)
    segments = Attribution(np.array([[3.0, 3.0, 1.0], [3.0, 0.0, 0.0]], np.float32), grid, "lime")
    assert ranked(segments, 1 / 6, "x").values.tolist() == [[1, 1, 0], [1, 0, 0]]
    zeros = Attribution(np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32), grid, "lime")
    assert ranked(zeros, 0.5, "x").values.sum() == 3


def test_without_a_classifier_there_is_nothing_to_search_with():
    grid = Grid(np.array([100.0]), np.array([0.1]), "hz", "stft", 0.2, 400.0)
    for name in ("smallest", "sufficient", "necessary"):
        assert is_searched(parse_mask(name))
        with pytest.raises(UnsupportedError, match="searched for with the classifier's answers"):
            to_mask(Attribution(np.ones((1, 1), np.float32), grid, "lime"), name)


def test_classifiers_without_gradients_have_defaults_of_their_own():
    def answers(sounds):
        with torch.no_grad():
            return Alarm()(torch.from_numpy(sounds)).softmax(-1).numpy()

    model = otoscope.wrap_function(answers, sample_rate=RATE, labels=["quiet", "alarm"], outputs="probabilities")
    assert not model.differentiable
    found = otoscope.explain(scene(), model, sample_rate=RATE, target="alarm")
    assert (found.request.method, found.request.mask.name) == (FORWARD_METHOD.split(",")[0], "binary")
    assert found.request.domain.name == FORWARD_DOMAIN.split(",")[0]
    heard = found.heard.of(1)
    assert heard["kept"] - heard["removed"] > 0.85
    assert otoscope.explain(scene(), model, sample_rate=RATE, method="occlusion").request.mask.name == "smallest"


def test_classifiers_with_gradients_keep_theirs(alarm):
    assert alarm.differentiable
    assert otoscope.explain(scene(), alarm, sample_rate=RATE).request.method == "mask_optimisation"


def test_searched_masks_are_not_smoothed_without_a_word():
    with pytest.raises(ParameterError, match="cannot be smoothed"):
        parse_mask("smallest,smooth_time=0.1")


def test_masks_that_stand_for_a_given_mask_or_sound_are_not_searched():
    from otoscope.explanation.describe import LEVEL
    from otoscope.explanation.pipeline import ITSELF
    from otoscope.explanation.search import is_searched
    from otoscope.masks import parse_mask

    assert not is_searched(LEVEL)
    assert not is_searched(ITSELF)
    assert is_searched(parse_mask("smallest"))
    assert not is_searched(parse_mask("binary"))

from __future__ import annotations

import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers.mn import MN, make_divisible
from otoscope.core.errors import ParameterError
from otoscope.spectral import KaldiLogMel


@pytest.mark.parametrize(
    ("width", "classes", "count"),
    [(0.4, 527, 983_599), (1.0, 527, 4_876_831), (2.0, 527, 17_909_287), (1.0, 50, 4_265_794)],
)
def test_it_has_as_many_parameters_as_the_published_one(width, classes, count):
    with torch.device("meta"):
        network = MN(classes, width)
    assert sum(p.numel() for p in network.parameters()) == count


def test_names_are_those_of_the_published_checkpoint(shared):
    state = torch.load(shared("weights/mn04_as_mAP_432.pt"), map_location="cpu", weights_only=True)
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in MN(527, 0.4).state_dict().items()}


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ("typing", {"Computer keyboard": 0.891, "Typing": 0.871}),
        ("speech", {"Speech": 0.818, "Door": 0.373}),
    ],
)
def test_with_published_weights_it_gives_the_published_outputs(shared, tagger, clip, expected):
    found = {r["label"]: r["score"] for r in otoscope.classify(str(shared(f"clips/{clip}.wav")), tagger, top_k=2)}
    assert found == pytest.approx(expected, abs=1e-3)


def test_five_seconds_are_500_frames_of_128_bands():
    assert KaldiLogMel()(torch.zeros(1, 160_000)).shape == (1, 1, 128, 500)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return otoscope.load_classifier("mn04_as", "random", labels=5)


def test_gradients_flow_to_the_waveform(small):
    waveform = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)).mul(0.1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(small(waveform)[:, 0].sum(), waveform)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().amax(1) > 0).all()
    assert float((gradient != 0).float().mean()) > 0.9


def test_a_batch_gives_what_single_clips_give(small):
    waveform = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0)) / 10
    with torch.no_grad():
        single = torch.cat([small(row[None]) for row in waveform])
        torch.testing.assert_close(small(waveform), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 100, 3200, 8001])
def test_sounds_of_any_length_are_heard(small, n):
    with torch.no_grad():
        assert torch.isfinite(small(torch.full((1, n), 0.1))).all()


def test_batch_norms_have_the_papers_settings_unless_told():
    for momentum in (0.01, 0.1):
        norms = [m for m in MN(2, 0.1, bn_momentum=momentum).modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(norms) > 30
        assert {(m.eps, m.momentum) for m in norms} == {(1e-3, momentum)}


def test_maps_are_a_thirty_second_of_the_features():
    network = MN(3, 0.1).eval()
    assert network.features(torch.zeros(1, 1, 128, 500)).shape[2:] == (4, 16)


@pytest.mark.parametrize(("value", "expected"), [(1, 8), (6.4, 8), (16, 16), (18, 24), (19, 24), (20, 24), (44.8, 48)])
def test_channels_are_multiples_of_eight(value, expected):
    assert make_divisible(value) == expected


@pytest.mark.parametrize(("classes", "width"), [(0, 1.0), (5, 0.0), (5, 99.0), (5, float("nan"))])
def test_absurd_sizes_are_refused(classes, width):
    with pytest.raises(ParameterError, match="MN takes a width in"):
        MN(classes, width)


def test_on_an_stft_it_has_the_same_parameters_and_takes_257_bins_at_16_khz():
    from otoscope.classifiers import build

    mel, bins = (build("mn", 10, settings={"width": 0.1, "features": f}) for f in ("mel128", "stft257"))
    assert [p.shape for p in mel.network.parameters()] == [p.shape for p in bins.network.parameters()]
    assert bins.sample_rate == 16000
    assert bins.features(torch.zeros(1, 80000)).shape == (1, 1, 257, 313)
    assert bins.place_of("features.16") == mel.place_of("features.16")

"""Any function of sounds as a classifier."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import otoscope
from otoscope.classifiers.function import Answers
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError

RATE = 8000


def levels(sounds):
    """Share of the energy below and above 1 kHz."""
    power = np.abs(np.fft.rfft(sounds)) ** 2 + 1e-9
    low = power[:, : power.shape[1] // 4].sum(1) / power.sum(1)
    return np.stack([low, 1 - low], 1)


def sound(hz=3000.0, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def wrap(function=levels, **more):
    return otoscope.wrap_function(function, **{"sample_rate": RATE, "labels": ["low", "high"], **more})


def test_its_probabilities_are_the_functions():
    classifier = wrap(outputs="probabilities")
    x = torch.from_numpy(np.stack([sound(300), sound(3000)]))
    np.testing.assert_allclose(classifier.probabilities(classifier(x)), levels(x.numpy()), atol=1e-5)
    assert wrap().readout.outputs == "probabilities"  # found out


@pytest.mark.parametrize("method", ["lime,samples=50", "kernel_shap,samples=50", "occlusion", "rise,masks=400"])
def test_methods_that_need_answers_alone_find_what_counts(method):
    mixed = (sound(300) + sound(3000)) / 2
    found = otoscope.explain(mixed, wrap(), sample_rate=RATE, method=method, domain="mel,bands=8,ms=250", target="high")
    values, hz = found.attribution.values.mean(1), found.attribution.grid.frequencies
    assert values[hz > 2500].max() > values[hz < 1000].max()


def test_methods_that_need_gradients_name_those_that_do_not():
    with pytest.raises(
        OtoscopeError, match=r"gives no gradients.*use mask_evolution, lime, kernel_shap, rise or occlusion"
    ):
        otoscope.explain(sound(), wrap(), sample_rate=RATE, method="gradient")


@pytest.mark.parametrize(
    "made", [list, tuple, lambda y: {"scores": y}, lambda y: torch.from_numpy(y), lambda y: y.astype(str).tolist()]
)
def test_answers_of_any_form(made):
    output = "scores" if isinstance(made(np.zeros((1, 2))), dict) else None
    classifier = wrap(lambda x: made(levels(x)), output=output, outputs="probabilities")
    x = torch.from_numpy(sound())[None]
    np.testing.assert_allclose(classifier.probabilities(classifier(x)), levels(x.numpy()), atol=1e-5)


def test_what_was_answered_is_not_asked_again():
    asked = []

    def counting(x):
        asked.append(len(x))
        return levels(x)

    classifier = wrap(counting, check=False, outputs="probabilities")
    x = torch.from_numpy(np.stack([sound(300), sound(3000), sound(300)]))
    first = classifier(x)
    assert asked == [2]
    assert torch.equal(classifier(x.flip(0)), first.flip(0))
    assert asked == [2]


def test_calls_are_no_larger_than_said():
    asked = []

    def counting(x):
        asked.append(len(x))
        return levels(x)

    classifier = wrap(counting, batch=2, check=False, outputs="probabilities")
    classifier(torch.from_numpy(np.stack([sound(h) for h in (300, 500, 700, 900, 1100)])))
    assert asked == [2, 2, 1]


class Service:
    """A web service that fails at some calls."""

    __name__ = "service"

    def __init__(self, fails):
        self.calls, self.fails = 0, fails

    def __call__(self, x):
        self.calls += 1
        if self.calls in self.fails:
            raise ConnectionError("503\nbusy")
        return levels(x)


def test_a_call_that_fails_is_made_again_after_a_pause(caplog):
    service = Service({1, 2})
    classifier = wrap(service, tries=3, pause_s=0.001, check=False, outputs="probabilities")
    with caplog.at_level(logging.WARNING, "otoscope"):
        classifier(torch.from_numpy(sound())[None])
    assert service.calls == 3
    assert "trying again in 0.001 s" in caplog.text
    assert "trying again in 0.002 s" in caplog.text


def test_a_service_that_keeps_failing_is_named_and_what_it_answered_is_kept():
    service = Service({2, 3})
    classifier = wrap(service, batch=1, tries=2, pause_s=0.0, check=False, outputs="probabilities")
    x = torch.from_numpy(np.stack([sound(300), sound(3000)]))
    with pytest.raises(
        OtoscopeError, match=r"'service' failed 2 times on 1 sounds of 8000 samples \(ConnectionError: 503 busy\)"
    ):
        classifier(x)
    classifier(x)
    assert service.calls == 4  # one for the first sound, two that failed, one for the second


def test_answers_on_disk_outlive_the_process_and_damaged_ones_are_asked_for_again(tmp_path):
    x = torch.from_numpy(sound())[None]
    first = wrap(levels, name="levels 1", cache=tmp_path, check=False, outputs="probabilities")(x)
    service = Service(set())
    again = wrap(service, name="service 1", cache=tmp_path, check=False, outputs="probabilities")
    again(x)
    assert service.calls == 1  # another function has answers of its own
    (file,) = [f for f in tmp_path.rglob("*.npy") if np.allclose(np.load(f), levels(x.numpy())[0])][:1]
    assert torch.equal(wrap(levels, name="levels 1", cache=tmp_path, check=False, outputs="probabilities")(x), first)
    file.write_bytes(b"half")
    assert torch.equal(wrap(levels, name="levels 1", cache=tmp_path, check=False, outputs="probabilities")(x), first)


def test_a_folder_of_answers_needs_a_name_that_tells_functions_apart(tmp_path):
    with pytest.raises(ParameterError, match="pass name="):
        wrap(cache=tmp_path)


def test_a_function_of_one_length_is_found_out():
    def fixed(x):
        if x.shape[1] != 3 * RATE:
            raise ValueError("3 s, please")
        return levels(x)

    classifier = wrap(fixed, tries=2, pause_s=5.0)
    assert (classifier.min_s, classifier.window_s) == (3.0, 3.0)


def test_on_any_device_a_function_is_what_it_is():
    import threading

    lock = threading.Lock()

    def locked(x):
        with lock:
            return levels(x)

    assert (
        otoscope.explain(sound(), wrap(locked), sample_rate=RATE, method="occlusion", device="cpu").target.label
        == "high"
    )


def test_memory_is_bounded():
    module = Answers(levels, "levels")
    module.kept.most = 40
    for hz in range(300, 1300, 100):
        module(torch.from_numpy(sound(hz))[None])
    assert module.kept.size <= 40


def test_a_function_that_draws_is_told_though_answers_are_kept():
    rng = np.random.default_rng(0)
    classifier = wrap(lambda x: levels(x) * 0 + rng.dirichlet([1, 1], len(x)))
    assert "answers the same sound differently" in classifier.doubts[0]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: "text", "returned str, not scores|returned shape"),
        (lambda x: levels(x)[:1], r"expected \(\d, class\)"),
        (lambda x: 3.0, "returned shape"),
        (lambda x: None, "returned"),
    ],
)
def test_what_is_no_answer_is_named(function, words):
    classifier = wrap(function, check=False)
    with pytest.raises(ShapeError, match=words):
        classifier(torch.rand(2, RATE))


@pytest.mark.parametrize("bad", [{"tries": 0}, {"tries": True}, {"batch": 0}, {"batch": 1.5}, {"function": 3}])
def test_settings_that_cannot_be(bad):
    with pytest.raises(ParameterError):
        wrap(**bad)


def test_functions_have_digests_of_their_own():
    assert wrap().digest() == wrap().digest()
    assert wrap().digest() != wrap(Service(set())).digest()

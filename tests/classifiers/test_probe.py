"""What is found out about a function by giving it sounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.classifiers.probe import (
    Numbers,
    find_lengths,
    heard_stretch,
    kind_of,
    last_operation,
    probe_sounds,
    steadiness,
)

RATE = 1000


@given(shortest=st.integers(100, 900), longest=st.integers(1100, 29000))
@settings(max_examples=25, deadline=None)
def test_lengths_are_found_to_the_sample(shortest, longest):
    def run(x):
        if not shortest <= x.shape[-1] <= longest:
            raise ValueError("no")

    found = find_lengths(run, RATE)
    assert found.shortest == (1 if shortest <= 100 else shortest)
    assert found.longest == longest


@pytest.mark.parametrize("length", [1000, 960, 3000, 777])
def test_one_fixed_length_is_found_also_by_a_hint(length):
    def run(x):
        if x.shape[-1] != length:
            raise ValueError("no")

    found = find_lengths(run, RATE, [12345, 777])
    assert (found.works, found.shortest, found.longest) == (length, length, length)


def test_what_takes_no_length_raises_its_own_error():
    def run(_x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        find_lengths(run, RATE)


@given(start=st.integers(0, 8000), n=st.integers(500, 20000))
@settings(max_examples=25, deadline=None)
def test_the_stretch_that_is_heard_is_found_to_10_ms(start, n):
    frames = 30000
    found = heard_stretch(
        lambda x: x[:, start : start + n].square().cumsum(-1)[:, -1:] + x[:, start : start + n].sum(-1), frames, RATE
    )
    stop, near = min(frames, start + n), RATE // 100
    expected = (start if start >= frames // 10 else 0), (stop if stop <= frames - frames // 10 else frames)
    assert expected[0] - near <= found[0] <= expected[0]
    assert expected[1] <= found[1] <= expected[1] + near


def test_an_answer_without_a_sound_has_no_stretch():
    assert heard_stretch(lambda x: torch.ones(len(x), 2), 30000, RATE) == (0, 0)


def test_a_sound_that_is_heard_as_a_whole_has_no_stretch():
    assert heard_stretch(lambda x: x.abs().amax(-1, keepdim=True), 30000, RATE) == (0, 30000)


Z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("scores", "last", "kind", "multilabel"),
    [
        (Z, "", "logits", False),
        (Z.softmax(-1), "", "probabilities", False),
        (Z.softmax(-1), "Addmm", "logits", False),
        (Z.sigmoid(), "", "probabilities", True),
        (Z.sigmoid(), "Sigmoid", "probabilities", True),
        (Z.sigmoid(), "Relu", "logits", False),
        (Z[:, :1].sigmoid(), "", "probabilities", False),
        (Z.log_softmax(-1), "", "log_probabilities", False),
        (torch.full((8, 4), float("nan")), "", "logits", False),
        (torch.zeros(8, 4), "", "logits", False),
    ],
)
def test_kinds_of_numbers(scores, last, kind, multilabel):
    found = kind_of(scores, last)
    assert (found.outputs, found.multilabel) == (kind, multilabel)
    assert isinstance(found, Numbers)
    assert bool(found.reason) == (kind != "logits")


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda x: x.sigmoid(), "Sigmoid"),
        (lambda x: x.sigmoid().clamp(0, 1)[:, :2].mean(0), "Sigmoid"),
        (lambda x: torch.nn.functional.linear(x, torch.ones(3, 4), torch.ones(3)), "Addmm"),
        (lambda x: x.softmax(-1).unsqueeze(1).squeeze(1), "Softmax"),
        (lambda x: x.detach(), ""),
    ],
)
def test_the_last_operation_is_seen_through_shapes_and_pools(made, name):
    assert last_operation(made(torch.randn(5, 4, requires_grad=True))) == name


def test_steadiness_has_the_size_of_the_change():
    calls = []

    def answers(x):
        calls.append(1)
        p = torch.full((len(x), 2), 0.5)
        p[:, 0] += 0.1 * (len(calls) > 4) + 0.2 * (len(x) > 1)
        return p

    found = steadiness(answers, probe_sounds(100, RATE)[:4])
    assert found.repeated == pytest.approx(0.1, abs=1e-6)
    assert found.batched == pytest.approx(0.2, abs=1e-6)

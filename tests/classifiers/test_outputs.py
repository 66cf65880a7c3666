"""What modules return, read as logits."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from otoscope.classifiers.outputs import Readout
from otoscope.core.errors import ParameterError, ShapeError

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
PROBABILITIES = LOGITS.softmax(-1)


@pytest.mark.parametrize(
    ("output", "key"),
    [
        (LOGITS, None),
        ((LOGITS, torch.zeros(9)), None),
        ([torch.zeros(9), LOGITS], 1),
        ([torch.zeros(9), LOGITS], -1),
        ({"embedding": torch.zeros(2, 8), "logits": LOGITS}, None),
        ({"embedding": torch.zeros(2, 8), "clipwise_output": LOGITS}, None),
        ({"mine": LOGITS}, None),
        (OrderedDict(a=torch.zeros(2, 3), b=LOGITS), "b"),
        (LOGITS[:, None], None),
        (LOGITS[:, :, None, None], None),
        (LOGITS[:, None, None], None),
        (LOGITS.double(), None),
        (LOGITS.half(), None),
    ],
)
def test_logits_are_found_in_whatever_is_returned(output, key):
    read = Readout(key=key)(output, 2, 3)
    assert read.dtype == torch.float32
    assert torch.allclose(read, LOGITS)


@given(st.lists(st.floats(-12, 12), min_size=2, max_size=6))
def test_probabilities_come_out_as_they_went_in(values):
    logits = torch.tensor([values])
    exclusive = Readout("probabilities")(logits.softmax(-1), 1, len(values)).softmax(-1)
    assert torch.allclose(exclusive, logits.softmax(-1), atol=1e-6)
    independent = Readout("probabilities", multilabel=True)(logits.sigmoid(), 1, len(values)).sigmoid()
    assert torch.allclose(independent, logits.sigmoid(), atol=1e-6)
    of_logs = Readout("log_probabilities", multilabel=True)(nn_logsigmoid(logits), 1, len(values)).sigmoid()
    assert torch.allclose(of_logs, logits.sigmoid(), atol=1e-6)
    exclusive_logs = Readout("log_probabilities")(logits.log_softmax(-1), 1, len(values)).softmax(-1)
    assert torch.allclose(exclusive_logs, logits.softmax(-1), atol=1e-6)


def nn_logsigmoid(x):
    return torch.nn.functional.logsigmoid(x)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1)])
def test_one_number_is_a_sigmoid_of_two_classes(shape):
    z = torch.tensor([2.0, -1.0])
    p = Readout(binary=True)(z.reshape(shape), 2, 2).softmax(-1)
    assert torch.allclose(p[:, 1], z.sigmoid())
    assert torch.allclose(p.sum(-1), torch.ones(2))
    p = Readout("probabilities", binary=True)(z.sigmoid().reshape(shape), 2, 2).softmax(-1)
    assert torch.allclose(p[:, 1], z.sigmoid(), atol=1e-6)


def test_certain_probabilities_stay_finite_with_a_gradient_that_is_no_nan():
    p = torch.tensor([[0.0, 1.0]], requires_grad=True)
    for multilabel in (False, True):
        logits = Readout("probabilities", multilabel=multilabel)(p, 1, 2)
        assert torch.isfinite(logits).all()
        (gradient,) = torch.autograd.grad(logits.sum(), p)
        assert torch.isfinite(gradient).all()


def test_frames_are_pooled_as_said_and_kept():
    frames = torch.stack([LOGITS, LOGITS - 1, LOGITS + 2], 1)
    assert torch.equal(Readout(pool="max")(frames, 2, 3), LOGITS + 2)
    assert torch.allclose(Readout(pool="mean")(frames, 2, 3), LOGITS + 1 / 3)
    assert torch.equal(Readout(pool="max").frames(frames, 2, 3), frames)
    assert Readout().frames(LOGITS, 2, 3).shape == (2, 1, 3)


def test_the_mean_of_frames_that_are_probabilities_is_the_mean_of_probabilities():
    frames = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(0))
    read = Readout("probabilities", pool="mean", multilabel=True)(frames, 2, 3)
    assert torch.allclose(read.sigmoid(), frames.mean(1), atol=1e-6)


@pytest.mark.parametrize(
    ("readout", "output", "words"),
    [
        (Readout(), "text", "returned str, not a tensor"),
        (Readout(), (), "empty tuple"),
        (Readout(key=2), (LOGITS,), "1 values, numbered from 0; there is no output=2"),
        (Readout(key="a"), (LOGITS,), "1 values"),
        (Readout(key="scores"), {"logits": LOGITS}, "no entry 'scores'; it has logits"),
        (Readout(), {"a": LOGITS, "b": LOGITS}, "dictionary with a, b; name the entry"),
        (Readout(key="a"), LOGITS, "which has no entries"),
        (Readout(), torch.zeros(2, 4), r"shape \(2, 4\) for 2 waveforms and 3 labels.*give 4 labels"),
        (Readout(), torch.zeros(3, 3), r"expected \(2, 3\)"),
        (Readout(), torch.zeros(2, 3, 7), "must be transposed"),
        (Readout(), torch.zeros(2, 7, 3), "7 frames.*pool='max' or pool='mean'"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(readout, output, words):
    with pytest.raises(ShapeError, match=words):
        readout(output, 2, 3)


@pytest.mark.parametrize("bad", [{"outputs": "odds"}, {"pool": "sum"}, {"key": 1.5}, {"key": True}])
def test_a_readout_that_cannot_be(bad):
    with pytest.raises(ParameterError):
        Readout(**bad)


def test_one_score_a_frame_is_pooled_before_it_becomes_two_classes():
    z = torch.tensor([[4.8, *[-13.4] * 9]])[..., None]
    p = Readout(pool="max", binary=True)(z, 1, 2).softmax(-1)
    assert p[0, 1].item() == pytest.approx(torch.sigmoid(torch.tensor(4.8)).item(), abs=1e-5)
    p = Readout("probabilities", pool="mean", binary=True)(z.sigmoid(), 1, 2).softmax(-1)
    assert p[0, 1].item() == pytest.approx(float(z.sigmoid().mean()), abs=1e-5)
    assert Readout(pool="max", binary=True).frames(z, 1, 2).shape == (1, 10, 2)


def test_a_score_that_lost_its_axes_is_read():
    assert Readout(binary=True)(torch.tensor(2.0), 1, 2).tolist() == [[-1.0, 1.0]]

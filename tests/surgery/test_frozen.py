"""A frozen model is proven to be unchanged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from otoscope.core.errors import OtoscopeError
from otoscope.surgery import frozen


class Model(nn.Module):
    """Batch norm, dropout, and a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.register_buffer("window", torch.ones(3), persistent=False)

    def forward(self, x):
        return self.body(x * self.window.sum()).mean(-1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Model().train()
    made.body[0].bias.requires_grad_(False)
    made.body[0].weight.grad = torch.ones(4, 1, 3)
    made.body.register_forward_hook(lambda *_: None)
    return made


def around(model):
    """What surrounds the values: modes, wishes for gradients, gradients, hooks."""
    return (
        [m.training for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        [len(m._forward_hooks) for m in model.modules()],
    )


def state(model):
    return {k: v.tolist() for k, v in [*model.named_parameters(), *model.named_buffers()]}


def test_a_model_that_only_listens_passes_and_is_as_before(model):
    before, values = around(model), state(model)
    with frozen(model) as same:
        assert same is model
        assert not any(m.training for m in model.modules())
        x = torch.randn(2, 1, 9, requires_grad=True)
        model(x).sum().backward()
        assert x.grad.abs().sum() > 0
    assert around(model) == before
    assert state(model) == values


def add(tensor, amount=1e-6):
    with torch.no_grad():
        tensor.view(-1)[0] += amount


def replace(model):
    model.body[0].weight = nn.Parameter(model.body[0].weight.detach() * 2)


CHANGES = {
    "parameter": lambda m: add(m.body[0].weight),
    "parameter by data": lambda m: m.body[0].bias.data.add_(1e-6),
    "parameter replaced": replace,
    "parameter of another precision": lambda m: m.half(),
    "a step": lambda m: torch.optim.SGD([m.body[0].weight], 0.1).step(),
    "buffer": lambda m: add(m.body[1].running_mean),
    "counter": lambda m: m.body[1].num_batches_tracked.add_(1),
    "buffer that is not saved": lambda m: add(m.window),
    "buffer replaced": lambda m: setattr(m, "window", m.window * 2),
    "buffer added": lambda m: m.register_buffer("more", torch.zeros(1)),
    "NaN": lambda m: m.window.fill_(torch.nan),
    "mode": lambda m: m.train(),
    "mode of a part": lambda m: m.body[2].train(),
    "in training": lambda m: m.train()(torch.randn(2, 1, 9)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(model, change):
    before = around(model)
    model.name = "ear"
    with (
        pytest.raises(OtoscopeError, match="'ear' was frozen but changed: a parameter, a buffer or its mode"),
        frozen(model),
    ):
        CHANGES[change](model)
    assert around(model)[0] == before[0]
    assert around(model)[3] == before[3]


@pytest.mark.parametrize("change", ["buffer", "buffer that is not saved", "buffer replaced", "in training"])
def test_what_changed_in_buffers_is_put_back_all_the_same(model, change):
    values, before = state(model), around(model)
    with pytest.raises(OtoscopeError, match="'Model' was frozen but changed"), frozen(model):
        CHANGES[change](model)
    assert state(model) == values
    assert around(model) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_block_goes_first(model, error):
    before = around(model)

    def fail():
        model.train()
        add(model.window)
        raise error("mine")

    with pytest.raises(error, match="mine"), frozen(model):
        fail()
    assert around(model) == before
    assert model.window.tolist() == [1, 1, 1]


def test_moving_in_memory_is_no_change():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with frozen(model):
        model.to(memory_format=torch.channels_last)
        model.zero_grad()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

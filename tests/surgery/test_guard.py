"""A borrowed model comes back as it was: after success, error and interrupt."""

import pytest
import torch
from torch import nn

from otoscope.surgery import preserve_state

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


class Model(nn.Module):
    """Convolution, batch norm (with buffers), dropout, a frozen layer in the middle, a buffer that is replaced."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("nothing", None)

    def forward(self, x):
        self.calls = self.calls + 1  # a new tensor under the old name
        return self.head(self.body(x).mean(-1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Model().train()
    made.body[1].eval()
    made.head.bias.requires_grad_(False)
    made.head.weight.grad = torch.full((2, 4), 3.0)
    made.head.register_forward_hook(lambda *_: None)
    made.body.register_forward_pre_hook(lambda *_: None)
    made.body[0].register_full_backward_hook(lambda *_: None)
    return made


def state(model):
    """All that must be as before, with identities."""
    return {
        "modes": [m.training for m in model.modules()],
        "wanted": [p.requires_grad for p in model.parameters()],
        "grads": [(id(p.grad), None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        "values": [p.detach().tolist() for p in model.parameters()],
        "buffers": [(n, id(b), b.tolist()) for n, b in model.named_buffers()],
        "hooks": [list(getattr(m, t).items()) for m in model.modules() for t in HOOKS],
    }


def meddle(model):
    """All that a method might do to a model."""
    model.train()
    for p in model.parameters():
        p.requires_grad_(True)
    for layer in (model, model.body, model.body[0], model.head):
        layer.register_forward_hook(lambda *_: None)
        layer.register_forward_hook(lambda *_: None, with_kwargs=True, always_call=True)
        layer.register_forward_pre_hook(lambda *_: None, with_kwargs=True)
        layer.register_forward_pre_hook(lambda *_: None)
        layer.register_full_backward_hook(lambda *_: None)
        layer.register_full_backward_pre_hook(lambda *_: None)
    model.zero_grad(set_to_none=True)
    model(torch.randn(3, 1, 8, requires_grad=True)).sum().backward()
    model.body[1].running_mean.fill_(7.0)
    model.body[1].running_var = torch.full((4,), 9.0)
    model.head._forward_hooks.clear()


def borrow_and_fail(model, error):
    with preserve_state(model):
        meddle(model)
        raise error


def test_inside_it_is_in_evaluation_mode_and_frozen(model):
    with preserve_state(model) as same:
        assert same is model
        assert not any(m.training for m in model.modules())
        assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_everything_is_as_before(model, end):
    before = state(model)
    if end is None:
        with preserve_state(model):
            meddle(model)
    else:
        with pytest.raises(end):
            borrow_and_fail(model, end)
    after = state(model)
    for key in before:
        assert after[key] == before[key], key


def test_the_meddling_would_show(model):
    before = state(model)
    meddle(model)
    after = state(model)
    assert {key for key in before if after[key] != before[key]} >= {"modes", "wanted", "grads", "buffers", "hooks"}


def test_hooks_that_were_there_still_fire(model):
    calls = []
    model.head.register_forward_hook(lambda *_: calls.append("old"))
    with preserve_state(model):
        model.head.register_forward_hook(lambda *_: calls.append("new"))
        model.head(torch.zeros(1, 4))
    model.head(torch.zeros(1, 4))
    assert calls == ["old", "new", "old"]


def test_a_handle_of_before_still_removes_its_hook(model):
    handle = model.head.register_forward_hook(lambda *_: None)
    before = len(model.head._forward_hooks)
    with preserve_state(model):
        model.head.register_forward_hook(lambda *_: None)
    handle.remove()
    assert len(model.head._forward_hooks) == before - 1


def test_a_buffer_with_nan_comes_back(model):
    model.body[1].running_mean.fill_(torch.nan)
    with preserve_state(model):
        model.body[1].running_mean.zero_()
    assert model.body[1].running_mean.isnan().all()


def test_guards_can_be_nested(model):
    before = state(model)
    with preserve_state(model):
        with preserve_state(model):
            meddle(model)
        assert not any(m.training for m in model.modules())
        assert not any(p.requires_grad for p in model.parameters())
    assert state(model) == before


def test_inside_inference_mode(model):
    before = state(model)
    with torch.inference_mode(), preserve_state(model):
        model(torch.zeros(2, 1, 8))
    assert state(model) == before


def test_shared_and_frozen_parts(model):
    both = nn.Sequential(model, model)
    before = state(both)
    with preserve_state(both):
        meddle(model)
    assert state(both) == before


class Nested(nn.Module):
    """Keeps tensors in containers of containers."""

    def __init__(self):
        super().__init__()
        self.state = {"h": torch.zeros(2), "more": [(torch.ones(2), torch.ones(2))], "none": None}
        self.layers = [[torch.zeros(1)], [torch.zeros(1)]]

    def forward(self, x):
        self.state["h"] = x
        self.state["more"].append((x, x))
        self.state["more"][0][0].add_(1)
        self.state["new"] = x
        self.layers[1][0] = x
        return x


def test_states_in_containers_are_as_before():
    net = Nested()
    state, more, layers = net.state, net.state["more"], net.layers
    with preserve_state(net):
        net(torch.full((2,), 5.0))
    assert net.state is state
    assert net.state["more"] is more
    assert net.layers is layers
    assert list(state) == ["h", "more", "none"]
    assert torch.equal(state["h"], torch.zeros(2))
    assert [len(more), *(t.tolist() for t in more[0])] == [1, [1.0, 1.0], [1.0, 1.0]]
    assert [inner[0].tolist() for inner in layers] == [[0.0], [0.0]]


class Counting(nn.Module):
    """Keeps a buffer, a tensor, lists, a dictionary and a number from one call to the next."""

    kept: list[torch.Tensor]
    named: dict[str, torch.Tensor]
    sizes: list[int]

    def __init__(self):
        super().__init__()
        self.norm, self.last, self.calls, self.kept = nn.BatchNorm1d(3), torch.zeros(3), 0, [torch.zeros(1)]
        self.named, self.sizes = {"h": torch.zeros(1)}, [0]
        self.register_buffer("sum", torch.zeros(3))

    def forward(self, x):
        self.sum += x.sum(0)
        self.last = x[0]
        self.kept = [x, x]
        self.named["h"] = x
        self.sizes.append(len(x))
        self.calls += 1
        return self.norm(x) + self.last + self.calls


@pytest.mark.parametrize("made", [torch.jit.script, lambda net: torch.jit.freeze(torch.jit.script(net.eval()))])
def test_the_state_of_torchscript_is_as_before(made):
    net = made(Counting().eval())
    net(torch.ones(2, 3))
    sums = net.sum.clone()
    with preserve_state(net):
        x = torch.full((2, 3), 5.0, requires_grad=True)
        net(x).sum().backward()
        assert net.calls == 2
        assert x.grad is not None
    assert net.calls == 1
    assert torch.equal(net.last, torch.ones(3))
    assert torch.equal(net.sum, sums)
    assert [tuple(t.shape) for t in net.kept] == [(2, 3), (2, 3)]
    assert [tuple(t.shape) for t in net.named.values()] == [(2, 3)]
    assert torch.equal(net.named["h"], torch.ones(2, 3))
    assert net.sizes == [0, 2]
    net(torch.ones(2, 3))
    assert net.calls == 2


def test_gradients_of_the_input_still_flow(model):
    x = torch.randn(1, 1, 8, requires_grad=True)
    with preserve_state(model):
        model(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert model.body[0].weight.grad is None

"""Looking at a layer: found by name, recorded at each pass, hook gone afterwards."""

import pytest
import torch
from torch import nn

from otoscope.core.errors import UnknownNameError, UnsupportedError
from otoscope.surgery import output_of, record_input, record_layer
from otoscope.surgery.hooks import find_layer


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(12, 2))


def hooks(model):
    return sum(len(m._forward_hooks) for m in model.modules())


def test_layers_are_found_by_dotted_name(model):
    assert find_layer(model, "0.1") is model[0][1]


@pytest.mark.parametrize("name", ["0.2", "conv", ""])
def test_an_unknown_layer_lists_those_there_are(model, name):
    with pytest.raises(UnknownNameError, match=r"unknown layer .*; (there are|did you mean) '?0"):
        find_layer(model, name)
    with pytest.raises(UnknownNameError, match="unknown layer"), record_layer(model, name):
        pass
    assert hooks(model) == 0


def test_the_nearest_layer_is_offered():
    named = nn.ModuleDict({"encoder": nn.ReLU(), "decoder": nn.ReLU()})
    with pytest.raises(UnknownNameError, match="did you mean 'encoder'"):
        find_layer(named, "encodr")


def test_each_pass_is_recorded_with_its_graph(model):
    x, y = torch.randn(2, 1, 8), torch.randn(3, 1, 8)
    with record_layer(model, "0") as outputs:
        assert hooks(model) == 1
        model(x)
        model(y).sum().backward()
    assert hooks(model) == 0
    assert [tuple(o.shape) for o in outputs] == [(2, 2, 6), (3, 2, 6)]
    assert torch.equal(outputs[0], model[0](x))
    assert outputs[1].grad_fn is not None
    model(x)
    assert len(outputs) == 2


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_the_hook_goes_after_an_error_too(model, end):
    with pytest.raises(end), record_layer(model, "0"):
        raise end
    assert hooks(model) == 0


def test_other_hooks_stay(model):
    model[0].register_forward_hook(lambda *_: None)
    with record_layer(model, "0"):
        assert hooks(model) == 2
    assert hooks(model) == 1


def test_a_layer_without_a_tensor_is_refused():
    model = nn.Sequential(nn.GRU(1, 2, batch_first=True))
    with pytest.raises(UnsupportedError, match="layer '0' gives tuple, not one tensor; choose another layer"):
        with record_layer(model, "0"):
            model(torch.zeros(1, 3, 1))
    assert hooks(model) == 0


def test_what_goes_in_is_seen_and_the_hook_is_gone_after_errors(model):
    x = torch.randn(3, 1, 8)
    with record_input(model) as inputs:
        model(x)
    assert len(inputs) == 1
    assert inputs[0] is x
    with pytest.raises(RuntimeError), record_input(model) as inputs:
        model(torch.randn(3, 2, 8))
    assert inputs[0].shape == (3, 2, 8)
    assert sum(len(m._forward_pre_hooks) for m in model.modules()) == 0


class Watched(torch.nn.Module):
    """Counts its passes, and catches what it should not."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused, self.passes = (
            torch.nn.Linear(4, 3),
            torch.nn.Linear(3, 2),
            torch.nn.ReLU(),
            0,
        )
        self.pair = Pair()

    def forward(self, x):
        try:
            x = self.first(x)
        except Exception:  # as some networks do
            x = torch.zeros(len(x), 3)
        self.passes += 1
        return self.pair(self.second(x))[0]


class Pair(torch.nn.Module):
    def forward(self, x):
        return x, x


def test_a_pass_ends_at_the_layer():
    net, x = Watched(), torch.randn(5, 4)
    torch.testing.assert_close(output_of(net, "first", x), net.first(x))
    assert net.passes == 0
    torch.testing.assert_close(output_of(net, "second", x), net.second(net.first(x)))
    assert not any(m._forward_hooks for m in net.modules())
    with pytest.raises(UnsupportedError, match="is not used in a forward pass"):
        output_of(net, "unused", x)
    with pytest.raises(UnsupportedError, match="gives tuple, not one tensor"):
        output_of(net, "pair", x)
    with pytest.raises(UnknownNameError):
        output_of(net, "third", x)


def test_passes_of_other_threads_are_not_ended():
    import threading

    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    found = []

    class Meets(torch.nn.Module):
        """In the middle of a pass that ends early, another thread makes a pass of its own."""

        def forward(self, x):
            if threading.current_thread() is threading.main_thread():
                other = threading.Thread(target=lambda: found.append(whole(torch.ones(1, 4)).shape))
                other.start()
                other.join()
            return x

    whole = torch.nn.Sequential(Meets(), net)
    assert output_of(whole, "1.0", torch.zeros(5, 4)).shape == (5, 3)
    assert found == [(1, 2)]

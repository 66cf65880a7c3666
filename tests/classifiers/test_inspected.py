from __future__ import annotations

import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers import Inspected
from otoscope.classifiers.inspected import ClassifierError
from otoscope.core.errors import DeviceMemoryError, OtoscopeError, ShapeError
from otoscope.domains import make_domain
from otoscope.surgery import preserve_state, record_layer
from worlds import spectral


def inspect(world, batch=2, domain="stft", n=4000):
    x = torch.randn(batch, n, generator=torch.Generator().manual_seed(0)) / 10
    return Inspected(world, make_domain(domain), x)


class Fails(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, waveform):
        raise self.error


def failing(error):
    return inspect(otoscope.wrap(Fails(error), sample_rate=8000, labels=2, name="broken", check=False))


@pytest.mark.parametrize("domain", ["stft", "mel", "time", "features"])
def test_ones_are_the_original(domain):
    inspected = inspect(spectral(), domain=domain)
    torch.testing.assert_close(inspected(inspected.ones()), inspected.original(), atol=1e-4, rtol=1e-4)
    assert inspected.passes == 4


def test_an_index_says_which_clip_each_mask_is_for():
    inspected = inspect(spectral(), batch=3)
    masks = torch.rand(4, *inspected.grid.shape, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([2, 0, 0, 1])
    together = inspected(masks, index)
    for row, mask, i in zip(together, masks, index, strict=True):
        torch.testing.assert_close(row, inspected(mask[None], torch.tensor([int(i)]))[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((3, 64, 5), "3 masks for 2 clips"), ((2, 63, 5), r"\(2, 63, 5\) but the stft grid needs \(batch, 64, 5\)")],
)
def test_masks_that_do_not_fit_are_refused(shape, words):
    with pytest.raises(ShapeError, match=words):
        inspect(spectral())(torch.ones(shape))


def test_it_does_not_own_the_callers_classifier():
    world = spectral()
    inspected = inspect(world)
    assert list(inspected.parameters()) == []
    inspected.train()
    assert not world.training
    assert inspected.classifier is world


def test_errors_of_the_users_module_are_ours_with_their_words():
    inspected = failing(ValueError("expected\n  16000 samples"))
    with pytest.raises(ClassifierError, match=r"'broken' failed on a sound \(ValueError: expected 16000 samples\)"):
        inspected(inspected.ones())
    with pytest.raises(OtoscopeError, match="'broken' failed"):
        inspected.original()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_names_the_batch(error):
    inspected = failing(error)
    with pytest.raises(DeviceMemoryError, match="out of memory with a batch of 2; use a smaller --batch-size"):
        inspected(inspected.ones())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ShapeError("ours already")])
def test_what_is_ours_or_the_users_wish_passes_through(error):
    inspected = failing(error)
    with pytest.raises(type(error)) as caught:
        inspected(inspected.ones())
    assert caught.value is error


def test_in_the_features_domain_the_front_end_runs_once():
    world = spectral()
    calls = []
    world.frontend.register_forward_hook(lambda *_: calls.append(1))
    inspected = inspect(world, domain="features")
    for _ in range(3):
        inspected(inspected.ones())
    assert calls == [1]


def test_logits_of_the_wrong_shape_are_named_from_features_too():
    world = otoscope.wrap(
        nn.Flatten(), sample_rate=16000, labels=2, frontend=spectral().frontend, name="flat", check=False
    )
    inspected = inspect(world, domain="features")
    with pytest.raises(ShapeError, match="'flat' returned scores of shape"):
        inspected(inspected.ones())


# Surgery: a model is borrowed and given back.


def test_untouched_undoes_everything():
    world = spectral().train()
    world.network[1].eval()
    hooks = []
    world.network[0].register_forward_hook(lambda *_: hooks.append(1))
    parameter, buffer = world.network[0].weight, world.network[1].running_mean
    parameter.grad = grad = torch.ones_like(parameter)
    world.network[7].bias.requires_grad_(False)
    before = buffer.clone()

    def misuse():
        with preserve_state(world) as borrowed:
            assert borrowed is world
            assert not any(m.training for m in world.modules())
            assert not any(p.requires_grad for p in world.parameters())
            parameter.grad = None
            buffer.fill_(3)
            world.network[1].running_mean = torch.zeros(8)
            world.network[1].register_buffer("new", torch.zeros(1))
            world.network[0].register_forward_hook(lambda *_: None)
            world.network[2].register_full_backward_hook(lambda *_: None)
            world.network[2].register_forward_pre_hook(lambda *_: None, with_kwargs=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        misuse()
    assert world.training
    assert not world.network[1].training
    assert parameter.requires_grad
    assert not world.network[7].bias.requires_grad
    assert parameter.grad is grad
    assert world.network[1].running_mean is buffer
    assert torch.equal(buffer, before)
    assert "new" not in dict(world.network[1].named_buffers())
    assert len(world.network[0]._forward_hooks) == 1
    assert not world.network[2]._backward_hooks
    assert not world.network[2]._forward_pre_hooks
    assert not world.network[2]._forward_pre_hooks_with_kwargs
    world(torch.zeros(1, 4000))
    assert hooks == [1]


def test_a_recorded_layer_is_let_go_after_an_error():
    network = spectral().network

    def fail():
        with record_layer(network, "3") as outputs:
            network(torch.zeros(1, 1, 32, 20))
            assert [tuple(o.shape) for o in outputs] == [(1, 12, 8, 5)]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not network[3]._forward_hooks


@pytest.mark.parametrize("domain", ["mel", "features"])
def test_in_bfloat16_the_network_says_nearly_the_same_and_features_stay_exact(domain):
    inspected = inspect(spectral(), domain=domain)
    seen = []
    handle = inspected.classifier.network.register_forward_hook(lambda m, x, y: seen.append((x[0].dtype, y.dtype)))
    with torch.no_grad():
        exact = inspected(inspected.ones())
        inspected.precision = torch.bfloat16
        short = inspected(inspected.ones())
    handle.remove()
    assert seen == [(torch.float32, torch.float32), (torch.float32, torch.bfloat16)]
    assert short.dtype == torch.float32
    assert 0 < float((short - exact).abs().max()) < 0.05 * float(exact.abs().max())
    assert inspected.passes == 4


def test_in_bfloat16_a_classifier_without_front_end_and_a_wrong_shape_are_treated_alike():
    world = otoscope.wrap(nn.Linear(4000, 2), sample_rate=8000, labels=2)
    inspected = inspect(world, domain="time")
    inspected.precision = torch.bfloat16
    with torch.no_grad():
        assert inspected(inspected.ones()).shape == (2, 2)
    wrong = otoscope.wrap(nn.Linear(4000, 3), sample_rate=8000, labels=2, check=False)
    inspected = inspect(wrong, domain="time")
    inspected.precision = torch.bfloat16
    with pytest.raises(ShapeError, match="expected"):
        inspected(inspected.ones())

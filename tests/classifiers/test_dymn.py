from __future__ import annotations

import copy
import functools
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import otoscope
from otoscope.classifiers.dymn import KINDS, DyMN, DyMNSettings
from otoscope.classifiers.dymn_layers import Context, ContextGenerator, CoordinateAttention, DynamicConv, DynamicReLU
from otoscope.classifiers.mn import MN
from otoscope.classifiers.weights import load_strictly
from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError, WeightsError
from otoscope.surgery import record_layer
from reference import dynamic as slow

CA, DC, DR = KINDS

# expanded, out, kernel, stride, context of each block at width 1, as published
BLOCKS = (
    (16, 16, 3, 1, 32),
    (64, 24, 3, 2, 32),
    (72, 24, 3, 1, 32),
    (72, 40, 5, 2, 32),
    (120, 40, 5, 1, 32),
    (120, 40, 5, 1, 32),
    (240, 80, 3, 2, 64),
    (200, 80, 3, 1, 48),
    (184, 80, 3, 1, 48),
    (184, 80, 3, 1, 48),
    (480, 112, 3, 1, 120),
    (672, 112, 3, 1, 128),
    (672, 160, 5, 2, 128),
    (960, 160, 5, 1, 128),
    (960, 160, 5, 1, 128),
)


class Unfilled(TorchFunctionMode):
    """Nobody draws the weights of a network of which names and shapes count."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))


@functools.cache
def empty(classes=527, **settings):
    with torch.device("meta"), Unfilled():
        return DyMN(classes, DyMNSettings(**settings))


def lively(network):
    """Weights and statistics of some size, so that what depends on the clip does so visibly."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2, generator=rng)
                module.running_var.uniform_(0.5, 2, generator=rng)
                module.weight.uniform_(0.7, 1.5, generator=rng)
                module.bias.normal_(0, 0.3, generator=rng)
            if isinstance(module, DynamicConv):
                module.residuals[0].weight.normal_(0, 1, generator=rng)
            if isinstance(module, DynamicReLU):
                module.coef_net[0].weight.normal_(0, 1, generator=rng)
        if isinstance(network, DyMN):
            for i in (2, 5):
                network.classifier[i].weight.normal_(0, 0.3, generator=rng)
            settle(network)
    return network.eval()


def settle(network):
    """Running statistics of a few clips, so that the clips differ down to the last layer."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    network.train()(features(16, 96, seed=5))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
        m.running_var.clamp_(min=1e-3)


def small(seed=0, **settings):
    torch.manual_seed(seed)
    return lively(DyMN(5, DyMNSettings(**{"width": 0.1, **settings})))


def features(batch=2, frames=64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, 128, 1, generator=rng) + torch.randn(batch, 1, 128, frames, generator=rng) / 2


def context(batch, size, channels=1, f=1, t=1, seed=3):
    rng = torch.Generator().manual_seed(seed)
    parts = (batch, size), (batch, channels, f), (batch, channels, t)
    return Context(*(torch.randn(p, generator=rng, dtype=torch.float64) for p in parts))


# What was published


@pytest.mark.parametrize(("width", "count"), [(0.4, 1_961_239), (1.0, 10_548_479), (2.0, 39_966_143)])
def test_it_has_as_many_parameters_as_the_published_one(width, count):
    assert sum(p.numel() for p in empty(width=width).parameters()) == count


@pytest.mark.parametrize(
    ("absent", "count"),
    [
        ((), 9_937_442),
        ((CA,), 9_937_442),
        ((DC,), 6_081_290),
        ((DR,), 7_785_922),
        ((DC, DR), 3_929_770),
        ((CA, DR), 7_785_922),
        ((CA, DC), 6_081_290),
    ],
)
def test_the_six_ablations_have_as_many_parameters_as_the_published_ones(absent, count):
    network = empty(50, **dict.fromkeys(absent, "absent"))
    assert sum(p.numel() for p in network.parameters()) == count


def test_there_are_44_dynamic_convolutions_of_four_kernels():
    found = [m for m in empty().modules() if isinstance(m, DynamicConv)]
    assert len(found) == 44
    assert sum(m.weight.numel() for m in found) == 4 * 1_281_240


def norm(name, n):
    shapes = {f"{name}.{k}": (n,) for k in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, f"{name}.num_batches_tracked": ()}


def published(absent=()):
    """Names and shapes of a published file, built from the table above."""
    out = {"in_c.0.weight": (16, 1, 3, 3), **norm("in_c.1", 16)}
    n = 16
    for i, (n_exp, n_out, kernel, _, size) in enumerate(BLOCKS):
        at = f"layers.{i}."

        def conv(name, *shape, at=at, size=size):
            if DC in absent:
                return {f"{at}{name}.module.weight": shape}
            return {
                f"{at}{name}.weight": (1, 1, 4, int(np.prod(shape))),
                f"{at}{name}.residuals.0.weight": (4, size),
                f"{at}{name}.residuals.0.bias": (4,),
            }

        if n_exp != n:
            out |= {**conv("exp_conv", n_exp, n, 1, 1), **norm(at + "exp_norm", n_exp)}
        out |= {**conv("depth_conv", n_exp, 1, kernel, kernel), **norm(at + "depth_norm", n_exp)}
        out |= {**conv("proj_conv", n_out, n_exp, 1, 1), **norm(at + "proj_norm", n_out)}
        if DR not in absent:
            out |= {f"{at}depth_act.coef_net.0.{k}": (4 * n_exp, *s) for k, s in (("weight", (size,)), ("bias", ()))}
            out |= {f"{at}depth_act.lambdas": (4,), f"{at}depth_act.init_v": (4,)}
        out |= {f"{at}context_gen.joint_conv.weight": (size, n, 1, 1), **norm(at + "context_gen.joint_norm", size)}
        for name in ("conv_f", "conv_t"):
            out |= {f"{at}context_gen.{name}.weight": (n_exp, size, 1, 1), f"{at}context_gen.{name}.bias": (n_exp,)}
        n = n_out
    out |= {"out_c.0.weight": (960, 160, 1, 1), **norm("out_c.1", 960)}
    for name, shape in (("2", (1280, 960)), ("5", (527, 1280))):
        out |= {f"classifier.{name}.weight": shape, f"classifier.{name}.bias": shape[:1]}
    return out


@pytest.mark.parametrize("absent", [(), (CA,), (DC,), (DR,), (DC, DR), (CA, DC, DR)])
def test_names_and_shapes_are_those_of_the_published_files(absent):
    found = {k: tuple(v.shape) for k, v in empty(**dict.fromkeys(absent, "absent")).state_dict().items()}
    assert found == published(absent)


def test_a_published_like_file_loads_strictly(tmp_path):
    state = {k: torch.full(s, 0.25) if s else torch.tensor(3) for k, s in published().items()}
    torch.save(state, tmp_path / "dymn10_as.pt")
    model = otoscope.load_classifier("dymn10_as", tmp_path / "dymn10_as.pt")
    assert model.network.layers[4].proj_conv.weight.mean().item() == 0.25
    assert model.labels[0] == "Speech"
    assert len(model.labels) == 527


def test_every_published_file_is_an_address_of_the_authors_release():
    files = {e.name: e.facts["url"] for e in registry.entries("classifier") if e.family == "dymn"}
    root = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"
    assert {k: v.removeprefix(root) for k, v in files.items() if v.startswith(root)} == {
        "dymn04_as": "dymn04_as.pt",
        "dymn10_as": "dymn10_as.pt",
        "dymn20_as": "dymn20_as_mAP_493.pt",
    }


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: DyMN(7, DyMNSettings(width=0.1)), r"classifier.5.weight is \(7, 128\), expected \(5, 128\)"),
        (lambda: DyMN(5, DyMNSettings(width=0.2)), r"of another shape \(in_c.0.weight is|of another shape \(layers"),
        (lambda: DyMN(5, DyMNSettings(width=0.1, dynamic_convolution="absent")), r"unknown \(.*module.weight"),
        (lambda: MN(5, 0.1), r"missing \(in_c.0.weight, in_c.1.weight.*unknown \(features.0.0.weight"),
    ],
    ids=["classes", "width", "ablation", "architecture"],
)
def test_another_networks_file_is_refused_with_the_first_mismatches(tmp_path, other, words):
    torch.save(other().state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words):
        otoscope.load_classifier("dymn,width=0.1", tmp_path / "w.pt", labels=5)


# Slow twins


@pytest.mark.parametrize("temperature", [0.3, 1.0, 30.0])
@pytest.mark.parametrize(
    ("n_in", "n_out", "kernel", "stride", "groups"),
    [(3, 5, 1, 1, 1), (4, 4, 3, 1, 4), (4, 4, 5, 2, 4), (2, 4, 3, 2, 1), (4, 6, 1, 1, 2)],
)
def test_dynamic_convolution_is_its_slow_twin(n_in, n_out, kernel, stride, groups, temperature):
    torch.manual_seed(0)
    layer = DynamicConv(n_in, n_out, 6, kernel, stride, groups).double()
    layer.temperature = temperature
    x, g = torch.randn(3, n_in, 7, 5, dtype=torch.float64), context(3, 6)
    scores = layer.residuals(g.vector).detach().numpy()
    kernels = layer.weight.detach().numpy().reshape(4, n_out, n_in // groups, kernel, kernel)
    wanted = slow.dynamic_convolution(x.numpy(), kernels, scores, temperature, stride, groups)
    np.testing.assert_allclose(layer(x, g).detach().numpy(), wanted, atol=1e-12)
    layer.active = False
    wanted = np.stack([slow.convolution(clip, kernels.mean(0), stride, groups) for clip in x.numpy()])
    np.testing.assert_allclose(layer(x, g).detach().numpy(), wanted, atol=1e-12)


def test_dynamic_relu_is_its_slow_twin():
    torch.manual_seed(0)
    layer = DynamicReLU(4, 6).double()
    x, g = torch.randn(3, 4, 5, 6, dtype=torch.float64), context(3, 6)
    scores = layer.coef_net(g.vector).detach().numpy()
    np.testing.assert_allclose(layer(x, g).detach().numpy(), slow.dynamic_relu(x.numpy(), scores), atol=1e-12)
    layer.active = False
    np.testing.assert_array_equal(layer(x, g).detach().numpy(), np.maximum(x.numpy(), 0))


def test_dynamic_relu_without_any_evidence_is_a_relu():
    layer = DynamicReLU(2, 3)
    nn.init.zeros_(layer.coef_net[0].weight)
    nn.init.zeros_(layer.coef_net[0].bias)
    x = torch.linspace(-2, 2, 24).view(1, 2, 3, 4)
    torch.testing.assert_close(layer(x, Context(*[torch.ones(1, 3)] * 3)), torch.relu(x))


def test_coordinate_attention_is_its_slow_twin():
    x, g = (
        torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        context(2, 1, 3, 4, 5),
    )
    layer = CoordinateAttention()
    np.testing.assert_allclose(layer(x, g).numpy(), slow.gated(x.numpy(), g.freq.numpy(), g.frame.numpy()), atol=1e-12)
    layer.active = False
    assert layer(x, g) is x


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("n_freq", "n_frames"), [(6, 9), (7, 4), (1, 1)])
def test_the_context_is_its_slow_twin(stride, n_freq, n_frames):
    torch.manual_seed(0)
    layer = lively(ContextGenerator(8, 3, 4, stride, 0.01)).double()
    x = torch.randn(2, 3, n_freq, n_frames, dtype=torch.float64)
    found = layer(x)
    state = {k: v.numpy() for k, v in layer.state_dict().items()}
    for b in range(2):
        for part, wanted in zip(found, slow.context(x[b].numpy(), state, stride), strict=True):
            np.testing.assert_allclose(part[b].detach().numpy(), wanted, atol=1e-12)


# Laws


@pytest.mark.parametrize("off", [(), (CA,), (DC,), (DR,)])
def test_a_batch_of_eight_is_eight_singles(off):
    network, x = small(**dict.fromkeys(off, "off")).double(), features(8).double()
    with torch.no_grad():
        together = network(x)
        assert together.std(0).min() > 0.01, "the clips are told apart"
        torch.testing.assert_close(together, torch.cat([network(one[None]) for one in x]), rtol=1e-8, atol=1e-8)


def test_a_block_adds_its_input_where_shapes_agree():
    network, added = small(), []
    for i, ((*_, stride, _), block) in enumerate(zip(BLOCKS, network.layers, strict=True)):
        x = torch.randn(2, block.context_gen.joint_conv.weight.shape[1], 8, 6)
        for silenced in (block.proj_norm.weight, block.proj_norm.bias):
            nn.init.zeros_(silenced)
        out = block(x)
        assert out.shape[2:] == (8 // stride, 6 // stride)
        if stride == 1 and x.shape == out.shape:
            torch.testing.assert_close(out, x, rtol=0, atol=0)
            added.append(i)
        else:
            assert not out.any()
    assert {0, 2, 4, 5, 7, 8, 9, 11, 13, 14} <= set(added)


@pytest.mark.parametrize("frames", [1, 2, 17, 100])
def test_features_of_any_length_are_heard(frames):
    assert torch.isfinite(small()(features(1, frames))).all()


def test_maps_are_a_thirty_second_of_the_features():
    network = small()
    with torch.no_grad(), record_layer(network, "out_c") as outputs:
        network(features(2, 500))
    assert outputs[0].shape[2:] == (4, 16)


def test_every_parameter_learns():
    network = small().train()
    network(features(4)).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@pytest.mark.parametrize("part", [CA, DC, DR])
def test_a_part_that_is_off_learns_nothing_and_changes_what_is_heard(part):
    network, x = small(), features()
    before = network(x)
    network.switch(**{part: False})
    assert not torch.allclose(network(x), before, atol=1e-3)
    network.train()(x).sum().backward()
    own = {CA: "context_gen.conv_", DC: "residuals", DR: "coef_net"}[part]
    assert [n for n, p in network.named_parameters() if own in n and p.grad is not None] == []


def test_with_all_off_clips_go_one_static_way():
    network, x = small(), features(1)
    with network.switched(**dict.fromkeys(KINDS, False)):
        inner = network(x)
        for module in network.modules():
            if isinstance(module, ContextGenerator):
                nn.init.constant_(module.joint_conv.weight, 9.0)
        torch.testing.assert_close(network(x), inner)


def test_off_is_absent_with_the_mean_kernels():
    """Without gates and dynamic ReLU, averaged kernels are what a network of ordinary convolutions has."""
    off = small(dynamic_convolution="off", coordinate_attention="absent", dynamic_relu="absent")
    absent = small(dynamic_convolution="absent", coordinate_attention="absent", dynamic_relu="absent")
    state = dict(off.state_dict())
    for name, module in off.named_modules():
        if isinstance(module, DynamicConv):
            state[f"{name}.module.weight"] = state.pop(f"{name}.weight").mean((0, 1, 2)).view(module.shape)
    state = {k: v for k, v in state.items() if "residuals" not in k}
    load_strictly(absent, state, "here")
    x = features()
    with torch.no_grad():
        torch.testing.assert_close(absent(x), off(x), rtol=1e-4, atol=1e-5)


def test_a_hot_softmax_is_the_plain_mean_of_the_kernels():
    network, x = small(), features()
    with torch.no_grad():
        network.temperature = 1e6
        hot = network(x)
        network.temperature = 1.0
        assert not torch.allclose(network(x), hot, atol=1e-3)
        with network.switched(dynamic_convolution=False):
            torch.testing.assert_close(network(x), hot, rtol=1e-3, atol=1e-4)


# Switches and temperature


def test_switch_returns_what_was_before_and_undoes_itself():
    network, x = small(dynamic_relu="off"), features()
    with torch.no_grad():
        original = network(x)
        before = network.switch(coordinate_attention=False, dynamic_relu=True)
        assert before == {CA: True, DC: True, DR: False}
        assert not torch.allclose(network(x), original, atol=1e-3)
        assert network.switch(**before) == {CA: False, DC: True, DR: True}
        torch.testing.assert_close(network(x), original, rtol=0, atol=0)


def test_switched_is_undone_after_an_error():
    network = small()

    def fail():
        with network.switched(dynamic_relu=False) as same:
            assert same is network
            assert network.state_settings()[DR] == "off"
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert network.state_settings()[DR] == "on"


def test_what_is_absent_or_unknown_cannot_be_switched():
    network = small(coordinate_attention="absent")
    with pytest.raises(UnsupportedError, match="coordinate_attention=absent"):
        network.switch(coordinate_attention=True)
    with pytest.raises(UnknownNameError, match="dynamic_relu"):
        network.switch(dynamic_rely=True)
    assert network.state_settings()[CA] == "absent"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e7])
def test_absurd_temperatures_are_refused(value):
    network = small()
    with pytest.raises(ParameterError, match="temperature of DyMN must lie in"):
        network.temperature = value
    assert network.temperature == 1.0


@pytest.mark.parametrize(("classes", "width"), [(0, 1.0), (5, 0.0), (5, 99.0), (5, float("nan"))])
def test_absurd_sizes_are_refused(classes, width):
    with pytest.raises(ParameterError, match="DyMN takes a width in"):
        DyMN(classes, DyMNSettings(width=width))


def test_a_switch_has_three_states():
    with pytest.raises(UnknownNameError, match="absent"):
        otoscope.load_classifier("dymn,dynamic_relu=absnt", "random", labels=2)


def test_batch_norms_have_the_papers_settings_unless_told():
    for momentum in (0.01, 0.1):
        norms = [m for m in small(bn_momentum=momentum).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        assert len(norms) > 50
        assert {(m.eps, m.momentum) for m in norms} == {(1e-3, momentum)}


# As a classifier


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = otoscope.load_classifier("dymn,width=0.1,temperature=4", "random", labels=["a", "b", "c"])
    lively(made.network)
    return made


def test_temperature_and_switches_are_saved_with_the_model(tmp_path, model):
    sound = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) / 10
    assert model.network.temperature == 4.0
    first = model(sound)
    model.network.temperature = 0.5
    model.network.switch(coordinate_attention=False)
    wanted = model(sound)
    assert not torch.allclose(first, wanted, atol=1e-3)
    folder = model.save_pretrained(tmp_path / "m")
    again = otoscope.load_classifier(folder)
    torch.testing.assert_close(again(sound), wanted, rtol=0, atol=0)
    assert again.network.state_settings() == {CA: "off", DC: "on", DR: "on", "temperature": 0.5}
    assert again.digest() == model.digest()
    assert json.loads((folder / "config.json").read_text())["settings"]["temperature"] == 0.5


def test_the_digest_tells_temperatures_and_switches_apart(model):
    seen = [model.digest()]
    model.network.temperature = 5.0
    seen.append(model.digest())
    model.network.switch(dynamic_relu=False)
    seen.append(model.digest())
    assert len(set(seen)) == 3
    model.network.switch(dynamic_relu=True)
    model.network.temperature = 4.0
    assert model.digest() == seen[0]


def test_a_copy_is_a_network_of_its_own(model):
    twin = copy.deepcopy(model)
    twin.network.temperature = 9.0
    assert model.network.temperature == 4.0


def test_gradients_flow_to_the_waveform(model):
    waveform = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)).mul(0.1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(waveform)[:, 0].sum(), waveform)
    assert torch.isfinite(gradient).all()
    assert float((gradient != 0).float().mean()) > 0.9


@pytest.mark.parametrize("layer", ["out_c", "layers.3.depth_conv", "layers.7.proj_conv", "layers.9.ca"])
def test_hooks_see_one_map_for_each_clip_after_the_aggregated_convolution(model, layer):
    waveform = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0)).double() / 10
    model.double()
    with record_layer(model.network, layer) as outputs:
        model(waveform)
    maps = model.maps(layer, outputs[0])
    with record_layer(model.network, layer) as single:
        model(waveform[1:2])
    assert maps.shape[0] == 3
    torch.testing.assert_close(maps[1:2], single[0], rtol=1e-8, atol=1e-8)
    assert not torch.allclose(maps[:1], maps[1:2], rtol=1e-3)


@pytest.mark.parametrize(
    "layer", ["layers.3.context_gen", "layers.3.context_gen.joint_conv", "layers.3.context_gen.conv_t"]
)
def test_what_is_no_map_is_refused_as_one(model, layer):
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32) / 10
    with pytest.raises(UnsupportedError, match="choose another layer"):
        otoscope.explain(sound, model, sample_rate=32000, method=f"grad_cam,layer={layer}")


@pytest.mark.parametrize("domain", ["mel,bands=16", "features"])
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam,layer=layers.5.proj_conv", "input_x_gradient"])
def test_it_can_be_explained(model, method, domain):
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32) / 10
    e = otoscope.explain(sound, model, sample_rate=32000, method=method, domain=domain)
    assert np.isfinite(e.attribution.values).all()
    assert np.ptp(e.attribution.values) > 0

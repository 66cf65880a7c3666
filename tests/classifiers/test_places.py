"""Where the cells of a map lie, measured: the centre of what each cell listens to, by gradients of random weights."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from hf_models import save_model
from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.dymn_layers import Context, ContextGenerator, DynamicConv
from otoscope.classifiers.mn import SqueezeExcitation
from otoscope.core.errors import ParameterError

APART = 3  # cells, from the first to the second that is measured
BANDS, FRAMES = 0, 1
MODELS = {  # settings, and the features for each axis that is measured: long enough to keep away from the borders
    "mn": ({"width": 0.1}, {BANDS: (640, 64), FRAMES: (64, 640)}),
    "dymn": ({"width": 0.1}, {BANDS: (640, 64), FRAMES: (64, 640)}),
    "cnn6": ({"width": 0.1}, {BANDS: (320, 32), FRAMES: (32, 320)}),
    "cnn10": ({"width": 0.1}, {BANDS: (320, 32), FRAMES: (32, 320)}),
    "cnn14": ({"width": 0.1}, {BANDS: (512, 64), FRAMES: (64, 501)}),
    "sb_cnn": ({}, {BANDS: (64, 64), FRAMES: (64, 107)}),
    "vgg5": ({"channels": 4}, {BANDS: (320, 64), FRAMES: (64, 333)}),
    "passt": ({"dim": 32, "depth": 2, "heads": 2, "freq_stride": 12}, {BANDS: (128, 60), FRAMES: (128, 100)}),
    "attention_rnn": ({"n_mels": 40}, {BANDS: (40, 41), FRAMES: (40, 61)}),
}
LAYERS = [
    *(("mn", f"features.{i}") for i in range(17)),
    *(("mn", f"features.{i}.block.0") for i in (2, 4, 7, 13)),
    *(("dymn", name) for name in ("in_c", *(f"layers.{i}" for i in range(0, 15, 2)), "layers.12.exp_norm", "out_c")),
    *(("cnn6", f"conv_block{i}") for i in range(1, 5)),
    *(("cnn10", f"conv_block{i}") for i in range(1, 5)),
    *(("cnn14", f"conv_block{i}") for i in range(1, 7)),
    ("cnn6", "conv_block3.bn1"),
    ("cnn14", "conv_block5.bn2"),
    *(("sb_cnn", f"{kind}{i}") for kind in ("conv", "norm") for i in (1, 2, 3)),
    *(("vgg5", f"block{i}") for i in range(1, 6)),
    ("vgg5", "block4.conv"),
    ("passt", "patch_embed"),
    *(("attention_rnn", name) for name in ("conv1", "norm1", "conv2", "norm2", "recurrent1")),
]


class Reached(Exception):
    """The layer has spoken; the rest of the network is not asked."""


@functools.cache
def model_of(architecture):
    """In evaluation mode, with random kernels that only add, so that nothing cancels; and the random numbers after it."""
    torch.manual_seed(3)
    model = build(architecture, 2, settings=MODELS[architecture][0]).eval()
    if hasattr(model.network, "bn0"):
        model.network.bn0 = nn.Identity()  # it alone wants a fixed number of bands
    for module in model.network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.abs() / module.weight.abs().sum((1, 2, 3), keepdim=True)
        if isinstance(module, DynamicConv):
            kernels = module.weight.abs().view(4, module.shape[0], -1)
            module.weight.data = (kernels / kernels.sum(2, keepdim=True)).view(module.weight.shape)
        # Gates hear the whole sound: they are held, so that what is left is local.
        if isinstance(module, SqueezeExcitation):
            module.fc1.register_forward_pre_hook(lambda _, inputs: (inputs[0].detach(),))
        if isinstance(module, ContextGenerator):
            module.register_forward_hook(lambda _, __, out: Context(*(x.detach() for x in out)))
    return model, torch.get_rng_state()


def maps_of(model, layer, features):
    """The layer's maps `(batch, channel, freq, frame)`; the network is not asked further."""
    kept = []

    def keep(_, __, output):
        kept.append(output)
        raise Reached

    hook = model.network.get_submodule(layer).register_forward_hook(keep)
    with pytest.raises(Reached):
        model.network(features)
    hook.remove()
    maps = model.maps(layer, kept[0])
    return maps[:, :, None] if maps.ndim == 3 else maps


def centre(maps, features, cell, axis, floor):
    """Centroid along an axis of how much the features count for one cell, of what is above a share of the largest."""
    voices = torch.rand(*maps.shape[:2])
    said = (maps[:, :, cell[0], cell[1]] * voices).sum()
    (gradient,) = torch.autograd.grad(said, features, retain_graph=True)
    weights = gradient.abs().sum((0, 1)).double().numpy().sum(1 - axis)
    weights = np.where(weights > floor * weights.max(), weights, 0)
    return float((np.arange(len(weights)) * weights).sum() / weights.sum())


@pytest.mark.parametrize(("architecture", "layer"), LAYERS)
def test_a_cell_listens_where_it_is_said_to_lie(architecture, layer, monkeypatch):
    # The largest of a pool's cells is by chance off their middle; their mean is the same cells without the chance.
    monkeypatch.setattr(nn.functional, "max_pool2d", nn.functional.avg_pool2d)
    model, numbers = model_of(architecture)
    torch.set_rng_state(numbers)
    for axis, shape in MODELS[architecture][1].items():
        if axis == BANDS and "recurrent" in layer:
            continue  # it has no bands
        first, step = model.place_of(layer)[axis]
        features = torch.rand(16 if "recurrent" in layer else 2, 1, *shape, requires_grad=True)
        maps = maps_of(model, layer, features)
        cell = [n // 2 for n in maps.shape[2:]]
        near = max(0, maps.shape[2 + axis] // 2 - 2)
        found = []
        for cell[axis] in (near, near + APART):
            found.append(centre(maps, features, cell, axis, 0.5 if "recurrent" in layer else 0))
            assert abs(found[-1] - (first + step * cell[axis])) < 0.35 * step, (axis, cell, found)
        assert (found[1] - found[0]) / APART == pytest.approx(step, rel=0.05), (axis, found)


@pytest.mark.parametrize("architecture", MODELS)
def test_every_named_layer_and_the_one_for_cams_has_a_place(architecture):
    model = build(architecture, 2, settings=MODELS[architecture][0])
    assert set(model.places) <= set(model.layers())
    assert model.place_of(model.cam_layer) is not None


def test_places_by_hand():
    """501 frames give CNN14 fifteen cells of 32 frames, the last around frame 463.5; MN's lie at 0, 32, ..."""
    assert build("cnn14", 2, settings={"width": 0.1}).place_of("conv_block6") == ((15.5, 32.0), (15.5, 32.0))
    assert build("mn", 2, settings={"width": 0.1}).place_of("features.16.0") == ((0.0, 32.0), (0.0, 32.0))
    assert build("sb_cnn", 2).place_of("norm3") == ((15.5, 4.0), (25.5, 8.0))


def test_tokens_of_the_transformer_lie_where_their_patches_do():
    model = build("passt", 2, settings=MODELS["passt"][0])
    assert model.place_of("blocks.1.norm1") == model.place_of("patch_embed") == ((7.5, 12.0), (7.5, 10.0))


def two_layers(places):
    inner = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    return Classifier(nn.Sequential(inner), sample_rate=8000, labels=["a", "b"], places=places)


def test_a_place_holds_for_the_layers_inside():
    outer, own = ((0, 2), (0, 4)), ((0.5, 2), (1.5, 4))
    model = two_layers({"0": outer, "0.1": own})
    assert model.place_of("0") == model.place_of("0.0") == outer
    assert model.place_of("0.1") == own
    assert two_layers({"0.1": own}).place_of("0") is None


@pytest.mark.parametrize("place", [(0, 1), ((0, 1), (0, 0)), ((0, -1), (0, 1)), ((0, np.nan), (0, 1)), "here"])
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(ParameterError, match="place of layer '0' must be"):
        two_layers({"0": place})


# --- Hugging Face models ----------------------------------------------------------------------------------------------

AST, WAV, BERT = "model.audio_spectrogram_transformer", "model.wav2vec2", "model.wav2vec2_bert"
FOUND = [  # family, layer, axes of its output after the batch, shape of what the network takes, what is measured
    ("ast", f"{AST}.embeddings.patch_embeddings.projection", "channel freq frame", (1, 36, 106), (BANDS, FRAMES)),
    ("whisper", "model.encoder.conv1", "channel frame", (1, 20, 100), (FRAMES,)),
    ("whisper", "model.encoder.conv2", "channel frame", (1, 20, 100), (FRAMES,)),
    ("wav2vec2-bert", f"{BERT}.feature_projection.projection", "frame channel", (1, 16, 60), (FRAMES,)),
    ("wav2vec2-layer", f"{WAV}.feature_extractor.conv_layers.0", "channel frame", (1200,), (FRAMES,)),
    ("wav2vec2-layer", f"{WAV}.feature_extractor.conv_layers.1", "channel frame", (1200,), (FRAMES,)),
    ("wav2vec2-layer", f"{WAV}.feature_projection.projection", "frame channel", (1200,), (FRAMES,)),
    ("sew", "model.sew.encoder.pool", "channel frame", (1200,), (FRAMES,)),
]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A tiny random Hugging Face model."""
    pytest.importorskip("transformers")
    root, made = tmp_path_factory.mktemp("hf"), {}

    def get(family):
        if family not in made:
            made[family] = otoscope.load_classifier(f"hf:{save_model(family, root / family)}")
        return made[family]

    return get


@pytest.mark.parametrize(("family", "layer", "axes", "shape", "measured"), FOUND)
def test_a_cell_of_a_hugging_face_model_listens_where_it_is_said_to_lie(load, family, layer, axes, shape, measured):
    model, kept = load(family), []
    torch.manual_seed(0)
    features = torch.rand(24, *shape, requires_grad=True)
    hook = model.network.get_submodule(layer).register_forward_hook(lambda _, __, out: kept.append(out))
    model.network(features)
    hook.remove()
    maps = kept[0].transpose(1, 2) if axes == "frame channel" else kept[0]
    assert axes in ("channel frame", model.axes_of(layer))
    maps = maps if maps.ndim == 4 else maps[:, :, None]
    features_of = features if features.ndim == 4 else features[:, None, None]
    for axis in measured:
        first, step = model.place_of(layer)[axis]
        cell = [n // 2 for n in maps.shape[2:]]
        for at in (1, maps.shape[2 + axis] - 2):
            cell[axis] = at
            (gradient,) = torch.autograd.grad(
                (maps[:, :, cell[0], cell[1]] * torch.rand(maps.shape[:2])).sum(), features, retain_graph=True
            )
            weights = gradient.view(features_of.shape).abs().sum((0, 1)).double().numpy().sum(1 - axis)
            weights = np.where(weights > 0.25 * weights.max(), weights, 0)
            found = float((np.arange(len(weights)) * weights).sum() / weights.sum())
            assert abs(found - (first + step * cell[axis])) < 0.2 * step, (axis, cell, found)


@pytest.mark.parametrize("family", ["ast", "whisper", "wav2vec2-bert", "wav2vec2", "hubert", "sew", "data2vec-audio"])
def test_layers_for_cams_and_attention_have_places(load, family):
    model = load(family)
    assert model.place_of(model.cam_layer) is not None
    attention = [name for name in model.layers() if name.endswith(("attention", "self_attn"))]
    assert attention
    assert all(model.place_of(name) is not None and model.axes_of(name) is not None for name in attention)
    assert set(model.places) <= set(model.layers())


def test_places_of_hugging_face_models_by_hand(load):
    """Strides 5 and 4 and kernels 10 and 8: cells of 20 samples, the first around sample 4.5 + 3.5 * 5."""
    assert load("wav2vec2").place_of(f"{WAV}.encoder.layers.0.attention") == ((0.0, 1.0), (22.0, 20.0))
    assert load("sew").place_of("model.sew.encoder.layers.0.attention") == ((0.0, 1.0), (32.0, 40.0))
    assert load("ast").place_of(f"{AST}.layers.1.layernorm_before") == ((7.5, 10.0), (7.5, 10.0))
    assert load("whisper").place_of("model.encoder.layers.0.self_attn") == ((0.0, 1.0), (0.0, 2.0))

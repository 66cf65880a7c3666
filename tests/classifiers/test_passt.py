from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers.dymn import DyMN, DyMNSettings
from otoscope.classifiers.passt import Block, PaSST, PaSSTSettings, PatchLogMel
from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError, UnsupportedError, WeightsError
from otoscope.explanation.windows import windows_of
from otoscope.spectral import KaldiLogMel
from otoscope.surgery import record_layer
from reference import dynamic as slow

TINY = {"dim": 12, "depth": 2, "heads": 3}
NAME = "passt,dim=12,depth=2,heads=3"


def empty(classes=527, **settings):
    with torch.device("meta"):
        return PaSST(classes, PaSSTSettings(**settings))


def tiny(classes=4, seed=0, **settings):
    """Weights of some size, so that the tokens look at one another visibly."""
    torch.manual_seed(seed)
    network = PaSST(classes, PaSSTSettings(**{**TINY, **settings}))
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(0, 0.4)
    return network.eval()


def features(batch=2, frames=96, seed=0):
    return torch.randn(batch, 1, 128, frames, generator=torch.Generator().manual_seed(seed))


# What was published


@pytest.mark.parametrize(("classes", "count"), [(527, 86_153_758), (50, 85_420_132)])
def test_it_has_as_many_parameters_as_the_published_one(classes, count):
    assert sum(p.numel() for p in empty(classes).parameters()) == count


def pair(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def published(rows=12, columns=99):
    """Names and shapes of a published file."""
    out = {"cls_token": (1, 1, 768), "dist_token": (1, 1, 768), "new_pos_embed": (1, 2, 768)}
    out |= {"freq_new_pos_embed": (1, 768, rows, 1), "time_new_pos_embed": (1, 768, 1, columns)}
    out |= pair("patch_embed.proj", 768, 1, 16, 16)
    for i in range(12):
        out |= {**pair(f"blocks.{i}.norm1", 768), **pair(f"blocks.{i}.norm2", 768)}
        out |= {**pair(f"blocks.{i}.attn.qkv", 2304, 768), **pair(f"blocks.{i}.attn.proj", 768, 768)}
        out |= {**pair(f"blocks.{i}.mlp.fc1", 3072, 768), **pair(f"blocks.{i}.mlp.fc2", 768, 3072)}
    return {
        **out,
        **pair("norm", 768),
        **pair("head.0", 768),
        **pair("head.1", 527, 768),
        **pair("head_dist", 527, 768),
    }


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("passt_s_swa_p16_128_ap476", 12, 99),
        ("passt_s_swa_p16_128_ap4761", 12, 99),
        ("passt_s_p16_128_ap472", 12, 99),
        ("passt_s_swa_p16_s12_128_ap473", 10, 83),
        ("passt_s_swa_p16_s14_128_ap471", 9, 71),
        ("passt_s_swa_p16_s16_128_ap473", 8, 62),
        ("passt_s_f128_20sec_p16_s10_ap474_swa", 12, 200),
        ("passt_s_f128_30sec_p16_s10_ap473_swa", 12, 300),
    ],
)
def test_names_and_shapes_are_those_of_the_published_files(name, rows, columns):
    entry = registry.get("classifier", name)
    assert entry.facts["url"].startswith("https://github.com/kkoutini/PaSST/releases/download/v0.0.")
    network = empty(**entry.facts["settings"])
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == published(rows, columns)


def test_layer_norms_have_the_papers_settings():
    found = {n: m.eps for n, m in empty(depth=2).named_modules() if isinstance(m, nn.LayerNorm)}
    assert found.pop("head.0") == 1e-5
    assert set(found) == {"norm", *(f"blocks.{i}.norm{j}" for i in (0, 1) for j in (1, 2))}
    assert set(found.values()) == {1e-6}


def test_a_file_of_the_same_network_loads_strictly(tmp_path):
    source = tiny(3, seed=1)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pt")
    model = otoscope.load_classifier(NAME, tmp_path / "w.pt", labels=3)
    with torch.no_grad():
        torch.testing.assert_close(model.network(features()), source(features()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: tiny(7), r"4 of another shape \(head.1.weight is \(7, 12\), expected \(3, 12\)"),
        (lambda: tiny(3, dim=24), r"of another shape \(cls_token is \(1, 1, 24\), expected \(1, 1, 12\)"),
        (lambda: tiny(3, depth=1), r"12 missing \(blocks.1.norm1.weight, "),
        (lambda: tiny(3, n_time=50), r"1 of another shape \(time_new_pos_embed is \(1, 12, 1, 50\), expected"),
        (lambda: DyMN(3, DyMNSettings(width=0.1)), r"missing \(cls_token, .*unknown \(in_c.0.weight"),
    ],
    ids=["classes", "width", "depth", "embeddings", "architecture"],
)
def test_another_networks_file_is_refused_with_the_first_mismatches(tmp_path, other, words):
    torch.save(other().state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words):
        otoscope.load_classifier(NAME, tmp_path / "w.pt", labels=3)


# The network


def test_a_block_is_its_slow_twin():
    torch.manual_seed(0)
    block = Block(PaSSTSettings(**TINY)).double().eval()
    with torch.no_grad():
        for p in block.parameters():
            p.normal_(0, 0.5)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    state = {k: v.numpy() for k, v in block.state_dict().items()}
    for clip, found in zip(x.numpy(), block(x).detach().numpy(), strict=True):
        np.testing.assert_allclose(found, slow.transformer_block(clip, state, heads=3), atol=1e-10)


def test_it_is_patches_with_places_two_tokens_blocks_and_their_mean():
    """The whole by hand: a clip of 2 columns, each patch cut out and multiplied by itself."""
    network = tiny(freq_stride=16, time_stride=10).double()
    x = features(1, 26).double()
    w, at = network.patch_embed.proj.weight, {}
    for row in range(8):
        for column in range(2):
            patch = x[0, 0, 16 * row : 16 * row + 16, 10 * column : 10 * column + 16]
            token = (w[:, 0] * patch).sum((1, 2)) + network.patch_embed.proj.bias
            place = network.freq_new_pos_embed[0, :, row, 0] + network.time_new_pos_embed[0, :, 0, column]
            at[row, column] = token + place
    own = [
        network.cls_token[0, 0] + network.new_pos_embed[0, 0],
        network.dist_token[0, 0] + network.new_pos_embed[0, 1],
    ]
    tokens = torch.stack([*own, *(at[r, c] for r in range(8) for c in range(2))])[None]
    out = network.norm(network.blocks(tokens))
    wanted = network.head((out[:, 0] + out[:, 1]) / 2)
    torch.testing.assert_close(network(x), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("seconds", "columns"), [(10.0, 99), (5.0, 49), (0.16, 1), (0.25, 1), (0.26, 2)])
def test_ten_seconds_are_99_columns_of_12_patches(seconds, columns):
    network = tiny()
    heard = PatchLogMel(network.settings.max_frames)(torch.zeros(1, round(32000 * seconds)))
    with torch.no_grad(), record_layer(network, "patch_embed") as outputs:
        network(heard)
    assert outputs[0].shape == (1, 12, 12, columns)


def test_it_hears_up_to_half_a_kilohertz_more_than_efficientat():
    assert PatchLogMel(1000).high_hz == 15000.0
    assert PatchLogMel(1000, 15500.0).high_hz == 15500.0
    assert KaldiLogMel().high_hz == 15000.0


def test_short_sounds_take_the_first_embeddings():
    network, x = tiny(), features(1, 46)  # 4 columns
    with torch.no_grad():
        before = network(x)
        network.time_new_pos_embed[..., 4:].normal_()
        torch.testing.assert_close(network(x), before, rtol=0, atol=0)
        network.time_new_pos_embed[0, 0, 0, 3] += 5
        assert not torch.allclose(network(x), before, atol=1e-4)


def test_short_sounds_start_anywhere_in_training():
    network, x = tiny(n_time=3).train(), features(1, 26)  # 2 of 3 columns: starts 0 and 1
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        seen.add(tuple(network(x).detach().round(decimals=4).flatten().tolist()))
    assert len(seen) == 2
    assert tuple(network.eval()(x).detach().round(decimals=4).flatten().tolist()) in seen


def grids(network, x):
    with torch.no_grad(), record_layer(network, "blocks.0.norm1") as outputs:
        network(x)
    return outputs[0].shape[1] - 2


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, 12 * 9),
        ({"patchout_time": 4}, 12 * 5),
        ({"patchout_freq": 3}, 9 * 9),
        ({"patchout_time": 4, "patchout_freq": 3}, 9 * 5),
        ({"patchout_time": 99, "patchout_freq": 99}, 1),
    ],
)
def test_patchout_leaves_out_rows_and_columns_in_training_only(settings, tokens):
    network = tiny(**settings)
    assert grids(network, features()) == 12 * 9
    assert grids(network.train(), features()) == tokens


def test_patchout_keeps_order_and_drops_the_same_for_the_batch():
    network = tiny(patchout_time=4, patchout_freq=3)
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(9.0), indexing="ij")
    torch.manual_seed(0)
    left = network._patchout((100 * row + column).expand(3, 2, 12, 9))
    rows, columns = (left[0, 0, :, 0] // 100).tolist(), (left[0, 0, 0] % 100).tolist()
    assert (rows, columns) == (sorted(set(rows)), sorted(set(columns)))
    assert (len(rows), len(columns)) == (9, 5)
    torch.testing.assert_close(left, (100 * torch.tensor(rows)[:, None] + torch.tensor(columns)).expand(3, 2, 9, 5))


def test_what_patchout_draws_comes_from_the_global_generator():
    network, x = tiny(patchout_time=4).train(), features()
    torch.manual_seed(3)
    first = network(x)
    torch.testing.assert_close(first, torch.manual_seed(3) and network(x))
    assert not torch.allclose(first, network(x))


def test_evaluation_is_deterministic_and_draws_nothing():
    network, x = tiny(patchout_time=4, patchout_freq=3, dropout=0.5), features()
    state = torch.get_rng_state()
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_of_eight_is_eight_singles():
    network, x = tiny().double(), features(8).double()
    with torch.no_grad():
        together = network(x)
        assert together.std(0).min() > 0.01, "the clips are told apart"
        torch.testing.assert_close(together, torch.cat([network(one[None]) for one in x]), rtol=1e-8, atol=1e-8)


def test_every_parameter_but_the_second_head_learns():
    network = tiny().train()
    network(features(frames=1000)).square().sum().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == ["head_dist.weight", "head_dist.bias"]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1, 64, 100), r"takes features \(batch, 1, 128, frame\).*got \(1, 1, 64, 100\)"),
        ((1, 1, 128, 15), "of at least 16 frames"),
        ((1, 128, 100), "takes features"),
        (
            (1, 1, 128, 1006),
            r"got 1006 frames, 10.06 s, but has time embeddings for 10.05 s; cut the sound into windows",
        ),
    ],
)
def test_features_that_do_not_fit_are_refused(shape, words):
    with pytest.raises(ShapeError, match=words):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": 5}, "a dim that its heads divide; got dim=12, heads=5"),
        ({"time_stride": 0}, "strides from 1 to 16"),
        ({"freq_stride": 17}, "strides from 1 to 16"),
        ({"n_time": 0}, "n_time of at least 1"),
        ({"patchout_time": -1}, "patchout_time of at least 0"),
    ],
)
def test_absurd_settings_are_refused(settings, words):
    with pytest.raises(ParameterError, match=words):
        tiny(**settings)


def test_it_needs_a_class():
    with pytest.raises(ParameterError, match="at least one class; got 0"):
        PaSST(0, PaSSTSettings(**TINY))


# Tokens and maps


def test_token_maps_put_each_token_where_its_patch_lies():
    network = tiny()
    with torch.no_grad(), record_layer(network, "patch_embed") as patches, record_layer(network, "pos_drop") as tokens:
        network(features())
    found = network.token_maps(tokens[0]) - network.freq_new_pos_embed - network.time_new_pos_embed[..., :9]
    torch.testing.assert_close(found, patches[0], rtol=1e-4, atol=1e-4)


def test_tokens_without_a_grid_are_refused():
    with pytest.raises(UnsupportedError, match="no grid of 12 rows"):
        tiny().token_maps(torch.zeros(1, 2 + 12 * 9 - 1, 4))
    with pytest.raises(UnsupportedError, match="use evaluation mode"):
        tiny(patchout_freq=6).train().token_maps(torch.zeros(1, 2 + 6 * 10, 4))


# As a classifier


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = otoscope.load_classifier(NAME + ",n_time=20", "random", labels=["a", "b", "c"])
    made.network.load_state_dict(tiny(3, n_time=20).state_dict())
    return made


def noise(seconds, rate=32000):
    return (np.random.default_rng(0).normal(size=round(seconds * rate)) / 10).astype(np.float32)


@pytest.mark.parametrize("n", [1, 100, 4800, 4801, 16000])
def test_short_sounds_are_padded_to_one_patch(model, n):
    with torch.no_grad():
        assert torch.isfinite(model(torch.full((1, n), 0.1))).all()
        if n < 4801:
            padded = nn.functional.pad(torch.full((1, n), 0.1), (0, 4801 - n))
            torch.testing.assert_close(model(torch.full((1, n), 0.1)), model(padded), rtol=0, atol=0)


def test_the_longest_sound_is_the_limit_to_the_sample(model):
    longest = model.maximum_length
    assert longest == (16 + 20 * 10 - 1) * 320
    with torch.no_grad():
        assert model(torch.zeros(1, longest)).shape == (1, 3)
        with pytest.raises(ShapeError, match=r"2\.16 s, but has time embeddings for 2\.15 s"):
            model(torch.zeros(1, longest + 1))


@pytest.mark.parametrize("rate", [32000, 44100, 8000])
def test_longer_sounds_are_cut_into_windows_that_fit(model, rate):
    for seconds, several in ((2.15, False), (2.16, True), (7.3, True)):
        spans = windows_of(otoscope.Clip(noise(seconds, rate)[None], rate), model)
        assert (len(spans) > 1) == several
        assert max(s.stop - s.start for s in spans) * 32000 <= model.maximum_length * rate
        assert (spans[0].start, spans[-1].stop) == (0, round(seconds * rate))


@pytest.mark.parametrize("rate", [32000, 44100])
def test_a_sound_beyond_the_embeddings_is_explained_in_windows(model, rate):
    e = otoscope.explain(noise(5, rate), model, sample_rate=rate, method="grad_cam", domain="mel,bands=16")
    assert e.n_windows > 1
    assert e.mask.grid.duration == pytest.approx(5)
    assert any(f"heard in {e.n_windows} windows" in note for note in e.notes)
    assert otoscope.classify(noise(5, rate), model, sample_rate=rate, top_k=1)[0]["score"] > 1 / 3


def test_gradients_flow_to_the_waveform(model):
    waveform = torch.from_numpy(noise(0.5)).expand(2, -1).clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(waveform)[:, 0].sum(), waveform)
    assert torch.isfinite(gradient).all()
    assert float((gradient != 0).float().mean()) > 0.9


@pytest.mark.parametrize("domain", ["mel,bands=16", "features"])
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam,layer=patch_embed", "grad_cam,layer=blocks.0", "gradient"])
def test_it_can_be_explained(model, method, domain):
    e = otoscope.explain(noise(1), model, sample_rate=32000, method=method, domain=domain)
    assert np.isfinite(e.attribution.values).all()
    assert np.ptp(e.attribution.values) > 0


def test_grad_cam_finds_the_patch_that_the_class_token_looks_at():
    """One block whose attention is uniform and whose value is a patch's loudness: the map is bright where the tone is."""
    model = otoscope.load_classifier("passt,dim=2,depth=1,heads=1", "random", labels=2)
    network = model.network
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.fill_(1.0 if name.endswith("weight") and "norm" in name else 0.0)
        network.patch_embed.proj.weight[0] = 1 / 256
        network.blocks[0].attn.qkv.weight[4, 0] = 1.0
        network.blocks[0].attn.proj.weight[0, 0] = 1.0
        network.norm.bias[1] = 0.5
        network.head[0].weight.fill_(1.0)
        network.head[1].weight[0, 0] = 1.0
        network.cls_token[0, 0, 1] = network.dist_token[0, 0, 1] = 0.1
    moments = np.arange(64000) / 32000
    tone = (0.5 * np.sin(2 * np.pi * 4000 * moments) * ((moments > 1.4) & (moments < 1.7))).astype(np.float32)
    e = otoscope.explain(tone, model, sample_rate=32000, method="grad_cam", domain="features", target=0)
    values = np.abs(e.attribution.values - np.median(e.attribution.values))
    late = values[:, e.attribution.grid.times > 1].sum() / values.sum()
    assert late > 0.8


def test_it_is_saved_and_read_again(tmp_path, model):
    folder = model.save_pretrained(tmp_path / "m")
    again = otoscope.load_classifier(folder)
    sound = torch.from_numpy(noise(0.5))[None]
    torch.testing.assert_close(again(sound), model(sound), rtol=0, atol=0)
    assert again.digest() == model.digest()

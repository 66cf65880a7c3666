"""Hugging Face models: tiny random ones of every family, held against transformers itself. Nothing is fetched."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from hf_models import FAMILIES, LABELS, RAW, TEXTS, first_choices, save_model, signal, tokenizer
from otoscope.classifiers import hf_frontends, hf_networks
from otoscope.classifiers.hf_check import FrontEndMismatchError, trial_signal
from otoscope.classifiers.huggingface import find_folder, licence_of, load_huggingface
from otoscope.core.errors import (
    DownloadError,
    MissingExtraError,
    OtoscopeError,
    ParameterError,
    UnsupportedError,
    WeightsError,
)
from otoscope.surgery import record_layer

transformers = pytest.importorskip("transformers")
EACH = pytest.mark.parametrize("family", FAMILIES)
ORIGINS = {"clap": "ClapModel", "clap-fusion": "ClapModel"}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever asks for the network finds none."""

    def refuse(*_):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A family's folder, made once."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = save_model(family, tmp_path_factory.mktemp("hf") / family)
        return made[family]

    return folder


@pytest.fixture(scope="module")
def load(folders):
    """A family's classifier, loaded once."""
    made = {}

    def classifier(family):
        if family not in made:
            made[family] = otoscope.load_classifier(f"hf:{folders(family)}", labels=labels_for(family))
        return made[family]

    return classifier


@pytest.fixture
def copied(folders, tmp_path):
    """A copy of a family's folder that a test may spoil."""
    return lambda family: shutil.copytree(folders(family), tmp_path / "copy")


def labels_for(family):
    return TEXTS if family.startswith("clap") else None


@functools.cache
def loaded_by_transformers(folder, family):
    """Feature extractor and model."""
    kind = transformers.ClapModel if family.startswith("clap") else transformers.AutoModelForAudioClassification
    return transformers.AutoFeatureExtractor.from_pretrained(folder), kind.from_pretrained(folder).eval()


def of_transformers(folder, family, x):
    """Logits as transformers alone computes them."""
    extractor, model = loaded_by_transformers(folder, family)
    inputs = extractor(x, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        if family.startswith("clap"):
            tokens = tokenizer()(TEXTS, padding=True, return_tensors="pt")
            texts = {key: tokens[key] for key in ("input_ids", "attention_mask")}
            return model(**texts, **inputs).logits_per_audio
        return model(**inputs).logits


# --- what every family gives ------------------------------------------------------------------------------------------


@EACH
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [2500, 16000, 16100, 17200, 26001])
def test_logits_are_those_of_transformers(load, folders, monkeypatch, family, n):
    first_choices(monkeypatch)
    classifier, x = load(family), signal(n)
    wanted = of_transformers(folders(family), family, x)
    with torch.no_grad():
        found = classifier(torch.from_numpy(x)[None])
    assert wanted.std() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@EACH
def test_a_batch_is_its_singles_and_the_gradient_reaches_the_waveform(load, family):
    classifier = load(family)
    x = torch.stack([torch.from_numpy(signal(8000, s)) for s in (0, 1)]).requires_grad_(True)
    logits = classifier(x)
    assert logits.shape == (2, len(classifier.labels))
    assert not torch.allclose(logits[0], logits[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits, torch.cat([classifier(x[:1]), classifier(x[1:])]), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().amax(1) > 1e-7).all()


@EACH
@pytest.mark.parametrize("n", [1, 40, 8000])
def test_silence_and_the_shortest_clips(load, family, n):
    classifier = load(family)
    x = torch.zeros(1, n, requires_grad=True)
    logits = classifier(x)
    (gradient,) = torch.autograd.grad(logits[0, 0], x)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(classifier(torch.from_numpy(signal(n))[None])).all()


@EACH
def test_what_is_told_of_it(load, family):
    classifier = load(family)
    info = classifier.info
    assert 0 <= info["frontend_difference"] <= info["frontend_tolerance"] < 0.02
    assert info["input_difference"] < 1e-4
    assert (info["weights"], info["revision"], info["licence"]) == ("published", None, "not recorded")
    assert classifier.labels == tuple(labels_for(family) or LABELS)
    assert (classifier.sample_rate, classifier.multilabel, classifier.training) == (16000, False, False)
    assert classifier.name == family
    assert json.loads(json.dumps(info)) == info
    with pytest.raises(UnsupportedError, match="only you know how to build it"):
        classifier.save_pretrained("nowhere")


@EACH
def test_the_cam_layer_gives_maps_that_the_logits_depend_on(load, family):
    classifier = load(family)
    assert {name for name in classifier.axes if name} <= set(classifier.layers())
    assert all(any(k.startswith(h) for k in classifier.network.state_dict()) for h in classifier.head)
    x = torch.from_numpy(signal(16000))[None].requires_grad_(True)
    with record_layer(classifier.network, classifier.cam_layer) as outputs:
        logits = classifier(x)
    (gradient,) = torch.autograd.grad(logits[0, 0], outputs[0])
    maps = classifier.maps(classifier.cam_layer, gradient)
    sizes = {"ast": (1, 16, 3, 10), "clap": (1, 16, 2, 32), "clap-fusion": (1, 16, 2, 32), "whisper": (1, 16, 50)}
    sizes |= {"wav2vec2-bert": (1, 16, 49)}
    assert maps.shape == sizes.get(family, (1, 8, 798))
    assert maps.abs().max() > 0


@EACH
@pytest.mark.parametrize("domain", ["mel,bands=8,ms=100", "features", "time"])
def test_it_can_be_explained(load, family, domain):
    classifier = load(family)
    for method in ("gradient", "grad_cam"):
        if family in RAW and domain == "features":
            with pytest.raises(UnsupportedError, match="front end"):
                otoscope.explain(signal(12000), classifier, sample_rate=16000, method=method, domain=domain)
            continue
        e = otoscope.explain(signal(12000), classifier, sample_rate=16000, method=method, domain=domain)
        assert np.isfinite(e.attribution.values).all()
        assert np.abs(e.attribution.values).max() > 0
        assert e.kept.frames == 12000
        assert e.scores.original.sum() == pytest.approx(1, abs=1e-5)


def test_cells_of_the_features_lie_in_the_clip_where_the_network_pads(load):
    for family, frames in (("ast", 73), ("whisper", 77)):
        e = otoscope.explain(signal(12000), load(family), sample_rate=16000, method="gradient", domain="features")
        assert e.attribution.grid.shape[1] == frames
        assert e.attribution.grid.times[-1] <= 0.75 + 0.0125


# --- where maps lie ---------------------------------------------------------------------------------------------------


def test_tokens_of_ast_lie_where_its_patches_are(load):
    network = load("ast").network
    embeddings = network.model.audio_spectrogram_transformer.embeddings
    with record_layer(embeddings, "patch_embeddings.projection") as maps, record_layer(embeddings, "dropout") as tokens:
        network(torch.randn(1, 1, 36, 106))
    found = network.token_maps(tokens[0] - embeddings.position_embeddings)
    torch.testing.assert_close(found, maps[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedError, match="7 tokens do not cover 3 x 10"):
        network.token_maps(torch.zeros(1, 7, 4))


def test_tokens_of_clap_lie_where_its_encoder_says(load):
    network = load("clap").network
    encoder = network.audio_model.audio_encoder
    features = torch.randn(1, 1, 64, 101)
    with record_layer(encoder, "norm") as tokens:
        maps = encoder(features.transpose(2, 3), return_dict=True).last_hidden_state
    assert torch.equal(network.token_maps(tokens[0]), maps)
    with pytest.raises(UnsupportedError, match="7 tokens do not fill a square"):
        network.token_maps(torch.zeros(1, 7, 4))


class Window(nn.Module):
    """Two seconds of loudness; shorter clips are padded."""

    span_s = 2.0

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool1d(800)

    def forward(self, waveform):
        maps = self.pool(nn.functional.pad(waveform.abs(), (0, 16000 - waveform.shape[1]))[:, None])
        return torch.cat([maps.mean(2), 0 * maps.mean(2)], 1)


def test_grad_cam_knows_that_a_network_pads_to_its_window():
    classifier = otoscope.wrap(Window(), sample_rate=8000, labels=["loud", "not"], cam_layer="pool")
    x = np.zeros(8000, np.float32)
    x[6000:6400] = 0.5
    e = otoscope.explain(x, classifier, sample_rate=8000, method="grad_cam", domain="time,ms=50", target="loud")
    assert e.attribution.grid.times[e.attribution.values[0].argmax()] == pytest.approx(0.75, abs=0.03)


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "target", "attribute", "broken"),
    [
        ("ast", hf_frontends.KaldiFbank, "forward", lambda f: lambda self, x: f(self, x) + 0.01),
        ("whisper", hf_frontends.WhisperLogMel, "forward", lambda f: lambda self, x: f(self, x) + 0.01),
        ("clap", hf_frontends.ClapLogMel, "fill", lambda f: lambda self, x: f(self, x) * 1.05),
        ("clap-fusion", hf_networks.ClapNetwork, "fuse", lambda f: lambda self, x: f(self, x).flip(2)),
        ("wav2vec2", hf_networks.RawNetwork, "prepare", lambda f: lambda self, x: {"input_values": x}),
        ("wav2vec2-bert", hf_frontends.KaldiFbank, "forward", lambda f: lambda self, x: f(self, x)[..., :-2]),
        ("ast", hf_frontends.KaldiFbank, "forward", lambda f: lambda self, x: f(self, x) * float("nan")),
    ],
)
def test_a_front_end_that_is_off_is_refused(folders, monkeypatch, family, target, attribute, broken):
    monkeypatch.setattr(target, attribute, broken(getattr(target, attribute)))
    with pytest.raises(FrontEndMismatchError, match=r"differ by \S+ from those of .* tolerance \d"):
        load_huggingface(str(folders(family)), labels=labels_for(family))


def test_logits_that_are_off_are_refused(folders, monkeypatch):
    forward = hf_networks.HfNetwork.forward
    monkeypatch.setattr(hf_networks.HfNetwork, "forward", lambda self, x: forward(self, x) + 0.01)
    with pytest.raises(FrontEndMismatchError, match=r"the logits differ by 0\.01"):
        load_huggingface(str(folders("hubert")))


def test_the_difference_is_logged_and_nothing_is_printed(folders, caplog, capfd):
    with caplog.at_level(logging.INFO, "otoscope"):
        load_huggingface(str(folders("ast")))
    assert "ast: logits differ by" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_numpys_global_generator_is_left_alone(folders):
    np.random.seed(5)  # noqa: NPY002
    wanted = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    load_huggingface(str(folders("clap-fusion")), labels=TEXTS)
    assert np.random.rand() == wanted  # noqa: NPY002


# --- weights and labels -----------------------------------------------------------------------------------------------


def test_random_weights_come_from_torchs_seed_and_take_other_labels(folders):
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(otoscope.load_classifier(f"hf:{folders('ast')}", "random", ["a", "b"]))
    assert made[0].labels == ("a", "b")
    assert made[0].digest() == made[1].digest() != made[2].digest()
    assert made[0].info["weights"] == "random"
    assert otoscope.load_classifier(f"hf:{folders('wav2vec2')}", "random", 4).labels[3] == "class 3"


@pytest.mark.parametrize("family", ["ast", "wav2vec2", "clap"])
def test_weights_from_a_file_with_names_of_today_or_of_the_published(load, folders, tmp_path, family):
    folder, labels = folders(family), labels_for(family)
    published = load(family)
    again = load_huggingface(str(folder), folder / "model.safetensors", labels)
    assert again.digest() == published.digest()
    kind = transformers.ClapModel if family == "clap" else transformers.AutoModelForAudioClassification
    state = {k: v + 0.01 if v.is_floating_point() else v for k, v in kind.from_pretrained(folder).state_dict().items()}
    torch.save(state, tmp_path / "own.pt")
    changed = load_huggingface(str(folder), tmp_path / "own.pt", labels)
    assert changed.digest() != published.digest()
    assert changed.info["weights"] == str(tmp_path / "own.pt")
    state.pop(sorted(state)[0])
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(WeightsError, match=r"less.pt do not fit this network: .*missing"):
        load_huggingface(str(folder), tmp_path / "less.pt", labels)


def test_weights_of_other_classes_do_not_fit(folders):
    path = folders("hubert") / "model.safetensors"
    with pytest.raises(WeightsError, match=r"do not fit this network: .*of another shape"):
        load_huggingface(str(folders("hubert")), path, ["a", "b"])


def test_half_precision_becomes_float32(folders, tmp_path):
    model = transformers.AutoModelForAudioClassification.from_pretrained(folders("ast")).half()
    shutil.copytree(folders("ast"), tmp_path / "half")
    model.save_pretrained(tmp_path / "half")
    classifier = load_huggingface(str(tmp_path / "half"))
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "multilabel"), [({"problem_type": "multi_label_classification"}, True), ({}, False)]
)
def test_whether_classes_exclude_each_other(tmp_path, changes, multilabel):
    assert load_huggingface(str(save_model("hubert", tmp_path / "m", **changes))).multilabel is multilabel


def test_labels_of_its_own_may_be_repeated_but_not_changed(folders):
    assert load_huggingface(str(folders("hubert")), labels=list(LABELS)).labels == LABELS
    assert load_huggingface(str(folders("hubert")), labels=3).labels == LABELS
    for labels in (["a", "b", "c"], 2):
        with pytest.raises(ParameterError, match="has classes of its own"):
            load_huggingface(str(folders("hubert")), labels=labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "must be what to listen for"),
        (3, "must be what to listen for"),
        ([], "different texts"),
        (["rain", " "], "different texts"),
        (["rain", "rain "], "different texts"),
        (["dog " * 30, "rain"], "has 32 tokens; at most 22 fit"),
    ],
)
def test_labels_that_clap_cannot_take(folders, labels, message):
    with pytest.raises(ParameterError, match=message):
        load_huggingface(str(folders("clap")), labels=labels)


def test_the_texts_decide_what_clap_says(load, folders):
    other = load_huggingface(str(folders("clap")), labels=["rain", "a dog barking", "siren"])
    x = torch.from_numpy(signal(8000))[None]
    torch.testing.assert_close(other(x)[:, [1, 0]], load("clap")(x))
    assert other.digest() != load("clap").digest()


# --- what is refused --------------------------------------------------------------------------------------------------


def write(folder, name, content):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def change(folder, name, **changes):
    write(folder, name, json.loads((folder / name).read_text(encoding="utf-8")) | changes)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (None, WeightsError, "not a Hugging Face model: config.json is missing"),
        ("{", WeightsError, "not a Hugging Face model: config.json is missing or damaged"),
        ([1], WeightsError, "names no model_type"),
        ({"a": 1}, WeightsError, "names no model_type"),
        ({"architecture": "mn", "settings": {}}, WeightsError, "give it without hf:"),
        ({"model_type": "nonesuch"}, UnsupportedError, "'nonesuch' is not known"),
        (
            {"model_type": "x", "auto_map": {"AutoConfig": "c.C"}},
            UnsupportedError,
            "code of its own, which is never run",
        ),
        (
            {"model_type": "bert", "architectures": ["BertForSequenceClassification"]},
            UnsupportedError,
            "BertForSequenceClassification, which does not classify sounds; .*wav2vec2",
        ),
    ],
)
def test_folders_that_hold_something_else(tmp_path, config, error, message):
    if config is not None:
        write(tmp_path, "config.json", config)
    with pytest.raises(error, match=message):
        load_huggingface(str(tmp_path))


def test_code_that_comes_with_a_model_is_never_run(copied):
    folder = copied("hubert")
    change(folder, "config.json", auto_map={"AutoModelForAudioClassification": "evil.Evil", "AutoConfig": "evil.Evil"})
    change(folder, "preprocessor_config.json", auto_map={"AutoFeatureExtractor": "evil.Evil"})
    write(folder, "evil.py", "raise SystemExit('ran')")
    assert load_huggingface(str(folder)).labels == LABELS  # by the library's own code, which knows the type


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


def test_pickled_code_is_refused(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = copied("hubert")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_huggingface(str(folder))
    assert not (tmp_path / "evil-was-here").exists()


def test_files_that_are_missing(copied):
    folder = copied("hubert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"has no weights \(model.safetensors or pytorch_model.bin\)"):
        load_huggingface(str(folder))
    assert load_huggingface(str(folder), "random").info["weights"] == "random"
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no preprocessor_config\.json"):
        load_huggingface(str(folder), "random")


def test_files_that_are_damaged(copied):
    folder = copied("clap")
    write(folder, "tokenizer.json", "{")
    with pytest.raises(WeightsError, match="the tokenizer for CLAP's labels cannot be read"):
        load_huggingface(str(folder), labels=TEXTS)
    (folder / "model.safetensors").write_bytes(b"no weights")
    tokenizer().save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"the weights in .* cannot be read"):
        load_huggingface(str(folder), labels=TEXTS)
    write(folder, "preprocessor_config.json", {"feature_extractor_type": "Nonesuch"})
    with pytest.raises(OtoscopeError, match=r"describes no feature extractor|no front end for"):
        load_huggingface(str(folder), labels=TEXTS)


def test_a_model_that_was_never_trained_to_classify(folders, tmp_path):
    folder = shutil.copytree(folders("hubert"), tmp_path / "base")
    transformers.HubertModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"missing \(classifier.bias.*saved as HubertModel"):
        load_huggingface(str(folder))


def test_a_regression_is_no_classifier(copied):
    folder = copied("hubert")
    change(folder, "config.json", problem_type="regression")
    with pytest.raises(UnsupportedError, match="numbers, not classes"):
        load_huggingface(str(folder))


@pytest.mark.parametrize(
    ("family", "file", "changes", "error", "message"),
    [
        ("hubert", "preprocessor_config.json", {"feature_extractor_type": "ClapFeatureExtractor"}, UnsupportedError,
         "no front end for ClapFeatureExtractor with hubert"),
        ("clap", "preprocessor_config.json", {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, UnsupportedError,
         "no front end for Wav2Vec2FeatureExtractor with CLAP"),
        ("ast", "preprocessor_config.json", {"max_length": 80}, WeightsError, "do not go together"),
        ("ast", "preprocessor_config.json", {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, WeightsError,
         "do not go together"),
    ],
)  # fmt: skip
def test_processors_that_do_not_fit_the_model(copied, family, file, changes, error, message):
    folder = copied(family)
    change(folder, file, **changes)
    with pytest.raises(error, match=message):
        load_huggingface(str(folder), labels=labels_for(family))


def test_without_transformers_the_extra_is_named(folders, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install transformers .*pip install '\.\[hf\]'"):
        load_huggingface(str(folders("hubert")))


# --- the hub ----------------------------------------------------------------------------------------------------------


def test_offline_is_one_clear_error():
    with pytest.raises(DownloadError, match="could not fetch nobody/nothing-of-this-name from the Hugging Face hub"):
        otoscope.load_classifier("hf:nobody/nothing-of-this-name")


@pytest.mark.parametrize("source", ["", "./nowhere", "/no/where", "a/b/c", "a b", "a/b@", "@main"])
def test_neither_a_folder_nor_a_name(source):
    with pytest.raises(ParameterError, match="neither a folder that exists nor a model on"):
        load_huggingface(source)


def test_from_the_hub_with_a_revision(folders, monkeypatch, tmp_path):
    snapshot = shutil.copytree(folders("hubert"), tmp_path / "0123abc")
    write(snapshot, "README.md", "---\ntags:\n- audio\nlicense: 'cc-by-4.0'\n---\n# A model\nlicense: none\n")
    asked = []

    def fetch(name, revision=None, allow_patterns=None):
        asked.append((name, revision, allow_patterns))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    classifier = otoscope.load_classifier("hf:some.body/a-model@v1.0")
    assert [a[:2] for a in asked] == [("some.body/a-model", "v1.0")]
    assert "model*.safetensors" in asked[0][2]
    assert classifier.name == "some.body/a-model@v1.0"
    facts = {key: classifier.info[key] for key in ("source", "revision", "licence", "model_type")}
    assert facts == {
        "source": "hf:some.body/a-model@v1.0",
        "revision": "0123abc",
        "licence": "cc-by-4.0",
        "model_type": "hubert",
    }
    (snapshot / "model.safetensors").unlink()
    assert find_folder("some.body/a-model", True) == (snapshot, "0123abc")
    assert [a[1:] for a in asked[2:]] == [(None, ["pytorch_model*"])]
    find_folder("some.body/a-model", False)
    assert not any("safetensors" in pattern for pattern in asked[-1][2])


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (None, "not recorded"),
        ("# Title\nlicense: mit", "not recorded"),
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlanguage: en\nlicense:\n- mit\n---\n", "not recorded"),
        (b"\xff\xfe", "not recorded"),
    ],
)
def test_the_licence_is_read_from_the_cards_header(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
    assert licence_of(tmp_path) == licence


def test_the_trial_signal_holds_what_front_ends_differ_on():
    x = trial_signal(16000, 2.5)
    assert (x.shape, x.dtype) == ((40000,), np.float32)
    assert np.all(x[36001:] == 0)
    assert 0.01 < x[:36000].mean() < 0.03
    assert np.abs(x).max() <= 1
    assert np.array_equal(x, trial_signal(16000, 2.5))

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import otoscope
from otoscope.classifiers.checkpoints import audioset_labels
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError


@pytest.fixture
def folder(tmp_path):
    """A model folder with a tiny MN."""
    torch.manual_seed(0)
    model = otoscope.load_classifier("mn04_as", "random", labels=["left", "right", "up"])
    save_file(model.network.state_dict(), str(tmp_path / "model.safetensors"))
    config = {
        "architecture": "mn", "name": "mine", "settings": {"width": 0.4}, "labels": ["left", "right", "up"], "multilabel": True,
        "info": {"licence": "mine alone"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_other_folders_and_paths_are_no_models(tmp_path):
    for path in (tmp_path, tmp_path / "not" / "there"):
        with pytest.raises(WeightsError, match=r"is not a model folder: it lacks config.json"):
            otoscope.load_classifier(path)


@pytest.mark.parametrize(
    ("name", "nearest"), [("mn4_as", "mn04_as"), ("MN04_AS", "mn04_as"), ("esc10", "esc10-mn"), ("mn10", "mn10_as")]
)
def test_an_unknown_name_offers_the_nearest(name, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'; did you mean .*'{nearest}'") as caught:
        otoscope.load_classifier(name)
    assert nearest in caught.value.nearest


def test_the_registry_tells_the_facts():
    facts = {e.name: e.facts for e in registry.entries("classifier")}
    assert set(facts) >= {"esc10-mn", "mn04_as", "mn10_as", "mn20_as"}
    model = otoscope.load_classifier("mn04_as", "random")
    assert facts["mn04_as"]["classes"] == len(model.labels) == 527
    assert facts["mn04_as"]["sample_rate"] == model.sample_rate == 32000
    assert facts["mn04_as"]["multilabel"] is model.multilabel is True


def test_random_weights_hang_on_torchs_seed():
    digests = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        digests.append(otoscope.load_classifier("mn04_as", "random", labels=2).digest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("labels", "expected"), [(2, ("class 0", "class 1")), (["x", "y"], ("x", "y")), (527, tuple(audioset_labels()))]
)
def test_labels_are_names_or_how_many(labels, expected):
    assert otoscope.load_classifier("mn04_as", "random", labels=labels).labels == expected


@pytest.mark.parametrize("labels", [0, []])
def test_no_labels_are_refused(labels):
    with pytest.raises(ParameterError, match="at least one class"):
        otoscope.load_classifier("mn04_as", "random", labels=labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "a"], "'a' came 2 times"),
        (["a", ""], "not empty; got '' as number 1"),
        ([1, 2], "must be texts .* got 1"),
        (True, "a whole number or a list of names; got True"),
        (2.5, "a whole number or a list of names; got 2.5"),
        ({"a": 1}, "number the classes from 0 to 0, each once; got 1"),
        (-1, "at least one class; got -1"),
    ],
)
def test_labels_that_are_none_are_named(labels, words):
    with pytest.raises(ParameterError, match=words):
        otoscope.load_classifier("mn04_as", "random", labels=labels)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "a name or a folder; got None"),
        ((3,), "a name or a folder; got 3"),
        (("",), "the model's name is empty"),
        (("esc10-mn", None), "weights must be 'published', 'random' or a file; got None"),
        (("esc10-mn", ""), "weights must be .* got ''"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, words):
    with pytest.raises(ParameterError, match=words):
        otoscope.load_classifier(*arguments)


def test_published_weights_do_not_fit_other_labels(shared):
    with pytest.raises(WeightsError, match=r"classifier.5.weight is \(527, .* expected \(3, "):
        otoscope.load_classifier("mn04_as", shared("weights/mn04_as_mAP_432.pt"), labels=3)


def test_the_labels_of_audioset_are_the_published_ones(shared):
    lines = shared("weights/class_labels_indices.csv").read_text(encoding="utf-8").splitlines()
    assert len(audioset_labels()) == len(set(audioset_labels())) == 527 == len(lines) - 1
    for index in (0, 72, 526):
        assert audioset_labels()[index] in lines[index + 1]


def test_it_says_where_it_came_from(tagger):
    assert tagger.origin["name"] == "mn04_as"
    assert tagger.origin["weights"].endswith("mn04_as_mAP_432.pt")
    assert tagger.name == "mn04_as"
    assert "MIT" in tagger.info["licence"]
    assert not tagger.training


def test_a_missing_weights_file_is_ours(tmp_path):
    with pytest.raises(OtoscopeError, match="does not exist"):
        otoscope.load_classifier("mn04_as", tmp_path / "gone.pt")


def test_labels_are_no_text_and_not_given_twice(tmp_path):
    with pytest.raises(ParameterError, match="a number or a list of names"):
        otoscope.load_classifier("mn04_as", "random", labels="abc")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ParameterError, match="labels of its own"):
        otoscope.load_classifier(tmp_path, labels=3)


def test_reading_weights_leaves_the_global_generator_alone_and_random_ones_draw_from_it():
    before = torch.random.get_rng_state()
    otoscope.load_classifier("esc10-mn")
    assert torch.equal(before, torch.random.get_rng_state())
    otoscope.load_classifier("mn04_as", "random", labels=2)
    assert not torch.equal(before, torch.random.get_rng_state())


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A module in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ear_of_mine.py").write_text(
        "import torch, otoscope\n"
        "class Ear(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.stack([x.mean(1), x.abs().mean(1)], 1)\n"
        "def model():\n"
        "    return otoscope.wrap(Ear(), sample_rate=8000, labels=['a', 'b'], name='ear')\n"
        "ready = model()\n"
        "def bare():\n    return Ear()\n"
        "def broken():\n    raise KeyError('x')\n"
        "def leaves():\n    raise SystemExit\n"
        "number = 3\n"
    )
    (tmp_path / "needs_of_mine.py").write_text("import needs_of_mine_too\n")
    (tmp_path / "leaves_of_mine.py").write_text("import sys\nsys.exit(0)\n")
    yield
    import sys

    sys.modules.pop("ear_of_mine", None)


@pytest.mark.parametrize("attribute", ["model", "ready"])
def test_your_own_code_is_a_model(own_code, attribute):
    import sys

    before = list(sys.path)
    model = otoscope.load_classifier(f"ear_of_mine:{attribute}")
    assert (model.name, model.sample_rate, model.labels) == ("ear", 8000, ("a", "b"))
    assert model.origin["name"] == f"ear_of_mine:{attribute}"
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (
            "ear_of_mine:nothing",
            UnknownNameError,
            "unknown callable of 'ear_of_mine' 'nothing'; there are Ear, bare, brok",
        ),
        ("ear_of_mine:modle", UnknownNameError, "did you mean 'model'"),
        ("ear_of_mine:", UnknownNameError, "unknown model 'ear_of_mine:'"),
        ("no_module_of_mine:model", ParameterError, "there is no module 'no_module_of_mine'"),
        ("no_module_of_mine.sub:model", ParameterError, "there is no module 'no_module_of_mine'"),
        (
            "needs_of_mine:model",
            ParameterError,
            "needs_of_mine cannot be imported: .*No module named 'needs_of_mine_too'",
        ),
        ("leaves_of_mine:model", ParameterError, "leaves_of_mine cannot be imported: SystemExit: 0"),
        ("ear_of_mine:leaves", ParameterError, "failed: SystemExit: no message"),
        ("ear_of_mine:bare", ParameterError, "returned Ear, not a Classifier"),
        ("ear_of_mine:broken", ParameterError, "failed: KeyError"),
        ("ear_of_mine:number", ParameterError, "failed: TypeError"),
    ],
)
def test_your_own_code_that_is_no_model_is_named(own_code, name, error, words):
    with pytest.raises(error, match=words) as caught:
        otoscope.load_classifier(name)
    assert "\n" not in str(caught.value)


def test_an_architecture_with_settings_is_a_name(folder, tmp_path):
    model = otoscope.load_classifier("mn,width=0.4", folder / "model.safetensors", labels=3)
    assert model.digest() == otoscope.load_classifier(folder).digest()
    assert model.config["settings"]["width"] == 0.4
    with pytest.raises(WeightsError, match="do not fit this network"):
        otoscope.load_classifier("mn,width=0.5", folder / "model.safetensors", labels=3)
    with pytest.raises(ParameterError, match="need labels"):
        otoscope.load_classifier("mn,width=0.4", "random")
    with pytest.raises(UnknownNameError, match="did you mean 'width'"):
        otoscope.load_classifier("mn,widht=0.4", "random", labels=3)


def test_published_weights_of_an_architecture_are_those_of_its_checkpoint(shared, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    shutil.copy(shared("weights/mn04_as_mAP_432.pt"), tmp_path / "weights")
    assert otoscope.load_classifier("mn,width=0.4").digest() == otoscope.load_classifier("mn04_as").digest()
    with pytest.raises(WeightsError, match=r"no published weights for .*mn,width=0.45.*mn04_as"):
        otoscope.load_classifier("mn,width=0.45")

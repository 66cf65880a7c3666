"""Model folders of classifiers, on disk and on the hub."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import otoscope
from otoscope.classifiers import build
from otoscope.core.errors import DownloadError, OtoscopeError, WeightsError


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


def rewrite(folder, **changes):
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


def test_a_model_folder_is_loaded(folder):
    torch.manual_seed(0)
    expected = otoscope.load_classifier("mn04_as", "random", labels=3)
    for name in (folder, str(folder)):
        model = otoscope.load_classifier(name)
        assert (model.name, model.labels, model.multilabel) == ("mine", ("left", "right", "up"), True)
        assert model.info["licence"] == "mine alone"
        assert model.info["weights"] == "model.safetensors"
        assert model.digest() == expected.digest()
        assert not model.training
        assert model.origin["name"] == str(folder.resolve())


def test_a_model_folder_takes_other_weights(folder, tmp_path):
    other = otoscope.load_classifier(folder, "random")
    torch.save(other.network.state_dict(), tmp_path / "other.pt")
    assert otoscope.load_classifier(folder, tmp_path / "other.pt").digest() == other.digest()
    assert otoscope.load_classifier(folder).digest() != other.digest()


def test_a_model_folder_without_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors does not exist"):
        otoscope.load_classifier(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": ...}, "lacks 'settings'"),
        ({"labels": ...}, "lacks 'labels'"),
        ({"architecture": ...}, "lacks 'architecture'"),
        ({"architecture": "vgg"}, "unknown architecture 'vgg'"),
        ({"labels": ["a", "b"]}, "do not fit this network"),
        ({"settings": {"width": 1.0}}, "do not fit this network"),
        ({"settings": {"width": "wide"}}, "config.json: .*width must be a float"),
        ({"settings": {"wdith": 1}}, "did you mean 'width'"),
        ({"settings": 3}, "config.json"),
        ({"labels": 3}, "config.json"),
        ({"labels": "abc"}, "config.json"),
        ({"labels": ["a", "b", "a"]}, "config.json: labels must be different; 'a' came 2 times"),
        ({"labels": [{"a": 1}, None, "b"]}, r"config.json: labels must be texts .* got {'a': 1} as number 0"),
        ({"labels": ["a", "b", " "]}, "config.json: labels must be texts .* got ' ' as number 2"),
        ({"info": None}, "config.json"),
    ],
)
def test_a_config_that_is_wrong_is_named(folder, changes, words):
    rewrite(folder, **changes)
    with pytest.raises(WeightsError, match=words):
        otoscope.load_classifier(folder)


@pytest.mark.parametrize(("text", "words"), [("[1, 2]", "got list"), ('"mn"', "got str"), ("null", "got NoneType")])
def test_a_config_that_is_no_mapping_is_named(folder, text, words):
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=f"config.json must be a mapping; {words}"):
        otoscope.load_classifier(folder)


@pytest.mark.parametrize("text", ["", "{", "\x00\xff", "[" * 200_000], ids=["empty", "open", "bytes", "deep"])
def test_a_config_that_is_no_config_is_named(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError, match=r"config.json is missing, damaged"):
        otoscope.load_classifier(folder)


def test_saved_and_loaded_is_the_same(tmp_path):
    torch.manual_seed(1)
    model = otoscope.load_classifier("mn,width=0.1", "random", labels=["x", "y"])
    saved = model.save_pretrained(tmp_path / "m")
    assert sorted(p.name for p in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = otoscope.Classifier.from_pretrained(saved)
    assert again.digest() == model.digest()
    assert again.config == model.config
    assert "2 classes" in (saved / "README.md").read_text()


def test_what_was_wrapped_cannot_be_saved(tmp_path):
    with pytest.raises(OtoscopeError, match="was wrapped"):
        otoscope.wrap(torch.nn.Linear(900, 2), sample_rate=8000, labels=2).save_pretrained(tmp_path / "m")


def test_a_truncated_safetensors_is_named(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"model.safetensors cannot be read"):
        otoscope.load_classifier(folder)


class Hub:
    """huggingface_hub, as far as it is asked."""

    def __init__(self, folder, fails=None):
        self.folder, self.fails, self.asked = folder, fails, []

    def snapshot_download(self, repo_id, revision=None, allow_patterns=None):
        self.asked.append((repo_id, revision))
        if self.fails:
            raise self.fails
        return str(self.folder)

    def HfApi(self, token=None):
        return self

    def create_repo(self, repo_id, private, exist_ok):
        self.asked.append((repo_id, private))
        if self.fails:
            raise self.fails

    def upload_folder(self, repo_id, folder_path, commit_message):
        from pathlib import Path

        self.asked.append(sorted(p.name for p in Path(folder_path).iterdir()))
        return type("Done", (), {"commit_url": f"https://hub/{repo_id}/commit/1"})()


def test_the_hub_is_asked_for_a_revision_and_given_a_folder(folder, monkeypatch):
    import sys

    hub = Hub(folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    model = otoscope.Classifier.from_pretrained("me/mine", revision="abc")
    assert model.name == "mine"
    assert model.push_to_hub("me/mine", private=True) == "https://hub/me/mine/commit/1"
    assert hub.asked == [("me/mine", "abc"), ("me/mine", True), ["README.md", "config.json", "model.safetensors"]]
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(folder, ConnectionError("no route")))
    with pytest.raises(DownloadError, match=r"could not fetch me/mine .*no route"):
        otoscope.Classifier.from_pretrained("me/mine")
    with pytest.raises(DownloadError, match="could not upload to me/mine"):
        model.push_to_hub("me/mine")


def test_the_shortest_sound_is_kept(tmp_path):
    model = build("mn", ["dog", "rain"], settings={"width": 0.1})
    model.min_s = 1.5
    model.save_pretrained(tmp_path)
    found = otoscope.load_classifier(str(tmp_path))
    assert found.minimum_length == 48000
    short = 0.1 * torch.randn(1, 9600)
    padded = torch.nn.functional.pad(short, (0, 48000 - 9600))
    with torch.no_grad():
        torch.testing.assert_close(found(short), found(padded))
    config = json.loads((tmp_path / "config.json").read_text())
    for wrong in (0, -1, "1", True, 1e9):
        (tmp_path / "config.json").write_text(json.dumps({**config, "min_s": wrong}))
        with pytest.raises(WeightsError, match=r"min_s must be above 0 and at most 3600 s"):
            otoscope.load_classifier(str(tmp_path))

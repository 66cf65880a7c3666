"""Model folders: what all kinds share, formats of the past and of the future."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import otoscope
from otoscope.autoencoders import load_autoencoder, save_autoencoder
from otoscope.classifiers.model_folder import FORMAT, read_config, short_card, write_model_folder
from otoscope.core.errors import WeightsError
from worlds import tiny_folder


def change(folder, **changes):
    file = folder / "config.json"
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "m")


def test_a_folder_says_its_format_and_kind(folder, tmp_path):
    assert json.loads((folder / "config.json").read_text())["kind"] == "classifier"
    own = save_autoencoder(load_autoencoder("esc10-mn"), tmp_path / "a", half=True)
    config = json.loads((own / "config.json").read_text())
    assert (config["format"], config["kind"], config["name"]) == (FORMAT, "autoencoder", "esc10-mn")


def test_folders_without_a_format_still_load(folder, tmp_path):
    """As those in the package, which the version before wrote."""
    new = otoscope.load_classifier(folder).digest()
    change(folder, format=..., kind=...)
    assert otoscope.load_classifier(folder).digest() == new
    for name, load in (("classifiers", otoscope.load_classifier), ("autoencoders", load_autoencoder)):
        assets = Path(otoscope.__path__[0], name, "assets", "esc10-mn")
        assert "format" not in json.loads((assets / "config.json").read_text())
        assert load(assets).digest() == load("esc10-mn").digest()


@pytest.mark.parametrize("version", [FORMAT + 1, "2", None])
def test_a_format_of_the_future_is_refused(folder, version):
    change(folder, format=version)
    with pytest.raises(WeightsError, match=f"reads formats up to {FORMAT}; update Otoscope"):
        otoscope.load_classifier(folder)


def test_the_folder_of_another_kind_is_named(folder):
    with pytest.raises(
        WeightsError, match="lacks 'autoencoder'; it is the folder of another kind of model: classifier"
    ):
        load_autoencoder(folder)


def test_a_new_kind_of_model_has_a_folder_too(tmp_path):
    weight = torch.tensor([1.0, 2.00001])
    card = short_card("counter", "It counts.", {"licence": "MIT"}, "load_counter", results=False)
    made = write_model_folder(tmp_path / "c", "counter", {"name": "counter", "top": 3}, {"w": weight}, card, half=True)
    assert read_config(made, {"name": str, "top": int}, "counter")["top"] == 3
    assert "Licence: MIT." in (made / "README.md").read_text()
    with pytest.raises(WeightsError, match=r"counter folder .* lacks 'bottom'$"):
        read_config(made, {"bottom": int}, "counter")

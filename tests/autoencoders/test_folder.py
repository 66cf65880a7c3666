"""Autoencoders on disk: what is written is what is read, and what cannot be read is named."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from otoscope.autoencoders import SMALL, Autoencoder, AutoencoderConfig, load_autoencoder, save_autoencoder
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.core.errors import ParameterError, UnknownNameError, WeightsError, WriteError

TINY = AutoencoderConfig(1, 8, (1, 1), (2,), (1,), 4, 4, 16000)


def tiny():
    made = random_autoencoder(TINY, 3, zero_residuals=False).eval()
    info = {"licence": "CC0", "tuned_to": {"name": "ear", "sha256": "ab", "labels": ("x", "y")}}
    return Autoencoder(made.network, "small ear", info)


@pytest.fixture
def folder(tmp_path):
    return save_autoencoder(tiny(), tmp_path / "ear")


def test_what_is_written_is_read(folder):
    found, own = load_autoencoder(folder), tiny()
    assert found.digest() == own.digest()
    assert found.config == TINY
    assert (found.name, found.info["licence"]) == ("small ear", "CC0")
    assert found.info["tuned_to"] == {"name": "ear", "sha256": "ab", "labels": ["x", "y"]}
    assert not found.training
    sound = torch.randn(2, 101)
    with torch.no_grad():
        assert torch.equal(found(sound, 22050), own(sound, 22050))
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert load_autoencoder(str(folder)).digest() == own.digest()


def test_halves_are_rounded_once(tmp_path):
    own = tiny()
    first = load_autoencoder(save_autoencoder(own, tmp_path / "1", half=True))
    assert {v.dtype for v in load_file(tmp_path / "1" / "model.safetensors").values()} == {torch.float16}
    assert {p.dtype for p in first.parameters()} == {torch.float32}
    for name, p in own.network.named_parameters():
        assert torch.equal(first.network.get_parameter(name), p.half().float()), name
    assert first.digest() != own.digest()
    second = load_autoencoder(save_autoencoder(first, tmp_path / "2", half=True))
    assert second.digest() == first.digest()


def test_the_small_one_fits_into_the_package(tmp_path):
    folder = save_autoencoder(random_autoencoder(SMALL), tmp_path / "s", half=True)
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 4_000_000


def test_a_card_says_what_is_known(tmp_path, folder):
    card = (folder / "README.md").read_text()
    for words in ("# small ear", "16000 Hz, 1 channel(s)", "8 samples a latent frame", "Tuned to: ear", "Licence: CC0"):
        assert words in card, words
    own = tiny()
    for info in ({}, {"tuned_to": "someone"}):
        own.info = info
        card = (save_autoencoder(own, tmp_path / "plain") / "README.md").read_text()
        assert "Tuned to: no classifier" in card
        assert "Licence: not recorded" in card
    save_autoencoder(own, tmp_path / "given", card="mine")
    assert (tmp_path / "given" / "README.md").read_text() == "mine"


def test_a_folder_can_take_its_weights_from_another_file(tmp_path, folder):
    other = random_autoencoder(TINY, 9)
    torch.save(other.network.state_dict(), tmp_path / "w.pt")
    assert load_autoencoder(folder, tmp_path / "w.pt").digest() == other.digest()
    with pytest.raises(WeightsError, match=r"gone.pt does not exist"):
        load_autoencoder(folder, tmp_path / "gone.pt")


def damage_config(folder, change):
    file = folder / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors does not exist"),
        (lambda f: (f / "model.safetensors").write_bytes(b"{}"), "model.safetensors cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:900]), "cannot be read"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is missing, damaged or not JSON"),
        (lambda f: (f / "config.json").write_text("[1]"), "must be a mapping; got list"),
        (lambda f: damage_config(f, lambda c: c.pop("autoencoder")), "lacks 'autoencoder'"),
        (lambda f: damage_config(f, lambda c: c.update(name=3)), "another kind in name"),
        (lambda f: damage_config(f, lambda c: c.update(info=[])), "another kind in info"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(chanels=3)), "did you mean 'channels'"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(factors=2)), "factors must be a list"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(channels=[8])), "channels must be a whole"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(channels=6)), r"channels \[6, 6\] must all be divisible"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(channels=16)), "fit this network: .* of another shape"),
        (lambda f: damage_config(f, lambda c: c["autoencoder"].update(num_blocks=[2])), "missing .*same shape"),
    ],
)  # fmt: skip
def test_damaged_folders_are_named(folder, damage, words):
    damage(folder)
    with pytest.raises(WeightsError, match=words):
        load_autoencoder(folder)


def test_names_that_do_not_exist_are_met_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'archisound'"):
        load_autoencoder("archisond")
    with pytest.raises(UnknownNameError, match="did you mean 'esc10-mn'"):
        load_autoencoder("esc10_mn")
    for name in (tmp_path, f"{tmp_path}/gone", tmp_path / "ear"):
        with pytest.raises(WeightsError, match=r"is not a folder of an autoencoder: it lacks config\.json"):
            load_autoencoder(name)


@pytest.mark.parametrize("name", [None, 3, "", "  ", b"esc10-mn", ["esc10-mn"]])
def test_what_is_no_name_is_refused(name, folder):
    with pytest.raises(ParameterError, match="names or paths"):
        load_autoencoder(name)
    with pytest.raises(ParameterError, match="names or paths"):
        load_autoencoder(folder, name)


def test_a_name_with_a_nul_is_unknown():
    with pytest.raises(UnknownNameError):
        load_autoencoder("a\0b")


def test_a_classifiers_folder_is_none_of_an_autoencoder(tmp_path, esc10_mn):
    esc10_mn.save_pretrained(tmp_path / "c")
    with pytest.raises(WeightsError, match="lacks 'autoencoder'"):
        load_autoencoder(tmp_path / "c")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError):
        save_autoencoder(tiny(), tmp_path / "file")


def test_saving_again_replaces_the_old(folder):
    other = random_autoencoder(AutoencoderConfig(1, 8, (1, 1, 1), (2, 2), (1, 1), 4, 4, 8000))
    save_autoencoder(other, folder)
    assert load_autoencoder(folder).digest() == other.digest()
    shutil.rmtree(folder)

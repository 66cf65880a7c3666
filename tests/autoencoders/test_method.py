"""`like-to-hear`: who gives the kept sound, for whom, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autoencoder_worlds import acting, tiny_autoencoder, tuned_to
from otoscope.autoencoders import load_autoencoder
from otoscope.autoencoders.method import Reconstructor, like_to_hear
from otoscope.core import registry
from otoscope.core.errors import UnknownNameError
from otoscope.core.records import Clip
from worlds import RATE, band_energy, spectral, tone


def sound(seconds=0.5, rate=RATE, channels=1) -> Clip:
    return Clip(np.stack([tone(1000, seconds, rate)] * channels), rate)


def test_it_is_registered_as_a_method_that_gives_a_sound():
    entry = registry.get("method", "like-to-hear")
    assert entry.target is like_to_hear
    assert entry.facts["gives"] == "sound"
    assert entry.settings({}) == {"autoencoder": "esc10-mn"}
    assert "features" not in entry.facts["domains"]


@pytest.mark.parametrize("rate", [RATE, 11025, 48000])
def test_blocks_are_what_the_autoencoder_makes(tmp_path, rate):
    folder, clip = tiny_autoencoder(tmp_path / "tiny", RATE), sound(rate=rate, channels=2)
    made = np.concatenate(list(like_to_hear(band_energy(), str(folder)).blocks(clip)), axis=1)
    assert made.shape == clip.samples.shape
    if rate == RATE:
        with torch.no_grad():
            wanted = load_autoencoder(folder)(torch.from_numpy(np.array(clip.samples)))
        np.testing.assert_allclose(made, wanted.numpy(), atol=1e-6)


def test_it_warns_where_the_autoencoder_belongs_to_another(tmp_path):
    mine, world = tiny_autoencoder(tmp_path / "mine", RATE, classifier=band_energy()), band_energy()
    assert like_to_hear(world, str(mine)).warnings == ()
    (said,) = like_to_hear(spectral(), str(mine)).warnings
    assert said == (
        "The autoencoder 'random' was tuned to 'band_energy', not to this 'spectral': its sound tells what that one likes "
        "to hear."
    )
    with torch.no_grad():
        world.network.level += 1
    (said,) = like_to_hear(world, str(mine)).warnings
    assert "was tuned to 'band_energy' of other weights" in said
    (said,) = like_to_hear(world, str(tiny_autoencoder(tmp_path / "none", RATE))).warnings
    assert "not tuned to any classifier" in said


def test_facts_name_the_weights_and_the_history(tmp_path):
    folder = tiny_autoencoder(tmp_path / "tiny", 16000, classifier=band_energy())
    facts = like_to_hear(band_energy(), str(folder)).facts()
    assert facts["sha256"] == load_autoencoder(folder).digest()
    assert (facts["name"], facts["sample_rate"], facts["compression"]) == ("random", 16000, 8)
    assert facts["info"]["tuned_to"] == tuned_to(band_energy())["tuned_to"]
    other = like_to_hear(band_energy(), str(tiny_autoencoder(tmp_path / "other", 16000, seed=1))).facts()
    assert other["sha256"] != facts["sha256"]


def test_notes_tell_rate_reach_and_windows(monkeypatch):
    def notes(own, clip):
        acting(monkeypatch, lambda x: x, own)
        return like_to_hear(band_energy()).notes(clip)

    assert notes(RATE, sound()) == ("reconstructed by the autoencoder 'acting' at 8000 Hz",)
    assert notes(48000, sound()) == ("reconstructed by the autoencoder 'acting' at 48000 Hz",)
    assert notes(4000, sound()) == (
        "reconstructed by the autoencoder 'acting' at 4000 Hz, so that sound above 2000 Hz is lost to the removed part",
    )
    assert notes(4000, sound(rate=4000)) == ("reconstructed by the autoencoder 'acting' at 4000 Hz",)
    assert len(notes(RATE, sound(10.0))) == 1
    assert "windows of 10 s that fade into one another over 2 s" in notes(RATE, sound(10.1))[1]


def test_an_autoencoder_in_training_mode_is_put_into_evaluation(tmp_path):
    autoencoder = load_autoencoder(tiny_autoencoder(tmp_path / "tiny", RATE)).train()
    assert not Reconstructor(autoencoder, band_energy()).autoencoder.training


def test_a_name_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'esc10-mn'"):
        like_to_hear(band_energy(), "esc10mn")

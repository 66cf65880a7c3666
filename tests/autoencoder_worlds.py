"""Autoencoders with known answers: `Acting` does to a sound what it is told; `tiny_autoencoder` is a folder as people have."""

from __future__ import annotations

from pathlib import Path

from otoscope.autoencoders import Autoencoder, AutoencoderConfig, AutoencoderNetwork, save_autoencoder
from otoscope.autoencoders.autoencoder import random_autoencoder

TINY = {
    "in_channels": 1, "channels": 8, "multipliers": (1, 1), "factors": (2,), "num_blocks": (1,), "patch_size": 4,
    "resnet_groups": 4,
}  # fmt: skip


class Acting(AutoencoderNetwork):
    """Instead of encoding and decoding, ``act(waveform)``; counts how often it was asked."""

    def __init__(self, act, rate: int):
        super().__init__(AutoencoderConfig(**TINY, sample_rate=rate))
        self.act, self.calls = act, 0

    def forward(self, waveform):
        self.calls += 1
        return self.act(waveform)


def acting(monkeypatch, act, rate: int, info=None) -> tuple[Acting, list]:
    """`load_autoencoder`, as the method calls it, gives an `Acting`: the network, and the names that were loaded."""
    network, loaded = Acting(act, rate), []

    def load(name):
        loaded.append(name)
        return Autoencoder(network, "acting", info)

    monkeypatch.setattr("otoscope.autoencoders.method.load_autoencoder", load)
    return network, loaded


def tuned_to(classifier) -> dict:
    """The history of an autoencoder that was tuned to this classifier."""
    return {"tuned_to": {"name": classifier.name, "sha256": classifier.digest(), "labels": list(classifier.labels)}}


def tiny_autoencoder(folder: Path, rate: int, seed: int = 0, classifier=None) -> Path:
    """The folder of a tiny autoencoder of random weights; tuned, it says, to the classifier."""
    made = random_autoencoder(AutoencoderConfig(**TINY, sample_rate=rate), seed, zero_residuals=False)
    if classifier is not None:
        made.info.update(tuned_to(classifier))
    return save_autoencoder(made, folder)

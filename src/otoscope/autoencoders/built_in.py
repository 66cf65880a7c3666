"""The autoencoders that are known by name: one in the package, one published."""

from __future__ import annotations

import os
from functools import partial
from importlib.resources import files
from pathlib import Path

from otoscope.autoencoders.autoencoder import Autoencoder
from otoscope.autoencoders.folder import load_folder, load_weights
from otoscope.autoencoders.network import AutoencoderConfig, AutoencoderNetwork
from otoscope.classifiers.weights import fetch
from otoscope.core import registry

ARCHISOUND = "https://huggingface.co/archinetai/autoencoder1d-AT-v1/resolve/main/pytorch_model.bin"


def load_built_in(name: str, weights: str | os.PathLike[str] = "published") -> Autoencoder:
    """One that is in the package."""
    return load_folder(Path(str(files("otoscope.autoencoders") / "assets" / name)), weights)


def load_archisound(weights: str | os.PathLike[str] = "published") -> Autoencoder:
    """The published autoencoder, fetched once into the cache, or from a file."""
    network = AutoencoderNetwork(AutoencoderConfig())
    path = fetch(ARCHISOUND, "archisound-autoencoder1d-AT-v1.bin") if weights == "published" else weights
    load_weights(network, path)
    return Autoencoder(network, "archisound", {"licence": "not recorded", "trained_on": "not recorded"})


registry.add(
    registry.Entry(
        "autoencoder",
        "esc10-mn",
        partial(load_built_in, "esc10-mn"),
        "Small, mono, 32 kHz; tuned to the classifier esc10-mn by this project; in the package, no download.",
        source="schneider2023archisound, piczak2015esc",
        facts={"sample_rate": 32000, "download": False, "licence": "Apache-2.0"},
    )
)
registry.add(
    registry.Entry(
        "autoencoder",
        "archisound",
        load_archisound,
        "The published autoencoder1d-AT-v1: stereo, 48 kHz, 20.8 M parameters; not tuned to any classifier.",
        source="schneider2023archisound",
        facts={"sample_rate": 48000, "download": True, "licence": "not recorded"},
    )
)

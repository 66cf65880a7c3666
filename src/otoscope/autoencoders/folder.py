"""The front door for autoencoders, by name or path; and their model folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from otoscope.autoencoders.autoencoder import Autoencoder
from otoscope.autoencoders.network import AutoencoderConfig, AutoencoderNetwork
from otoscope.classifiers.model_folder import (
    CONFIG,
    WEIGHTS,
    is_model_folder,
    read_config,
    short_card,
    write_model_folder,
)
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError

KEYS = {"autoencoder": dict, "name": str}


def load_autoencoder(
    name: str | os.PathLike[str] = "esc10-mn", weights: str | os.PathLike[str] = "published"
) -> Autoencoder:
    """An autoencoder by name, or from a folder that `save_autoencoder` wrote.

    Parameters
    ----------
    name : str or path
        ``esc10-mn`` (in the package, tuned to the classifier of that name), ``archisound`` (published, stereo, 48 kHz), or
        a folder.
    weights : "published" or path
        A file to read the weights from instead; its names must be those of the network, or those of the published file.

    Returns
    -------
    Autoencoder
        In evaluation mode, on the CPU.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    WeightsError, DownloadError
        If weights are missing, damaged, unsafe, of another shape or out of reach.

    Examples
    --------
    >>> import torch, otoscope
    >>> otoscope.load_autoencoder("esc10-mn")(torch.zeros(1, 1000)).shape
    torch.Size([1, 1000])
    """
    for value in (name, weights):
        if not isinstance(value, str | os.PathLike) or not str(value).strip():
            raise ParameterError(f"an autoencoder and its weights are names or paths; got {value!r}")
    folder, text = Path(name), str(name)
    try:
        there = is_model_folder(folder)
    except (OSError, ValueError):  # a name that no file can have
        raise WeightsError(
            f"no folder can be called {text[:60]!r}...; give a name or a folder of an autoencoder"
        ) from None
    if there:
        return load_folder(folder, weights).eval()
    if text in registry.names("autoencoder"):
        made: Autoencoder = registry.get("autoencoder", text).target(weights)
        return made.eval()
    if os.sep in text or folder.exists():
        raise WeightsError(f"{name} is not a folder of an autoencoder: it lacks {CONFIG} or {WEIGHTS}")
    raise UnknownNameError("autoencoder", text, registry.names("autoencoder"))


def load_folder(folder: Path, weights: str | os.PathLike[str] = "published") -> Autoencoder:
    """An autoencoder from its folder.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or does not fit.
    """
    config = read_config(folder, KEYS, "autoencoder")
    try:
        network = AutoencoderNetwork(AutoencoderConfig.from_dict(config["autoencoder"]))
    except OtoscopeError as error:
        raise WeightsError(f"autoencoder folder {folder}: {CONFIG}: {error}") from error
    load_weights(network, folder / WEIGHTS if weights == "published" else weights)
    return Autoencoder(network, config["name"], config.get("info"))


def load_weights(network: AutoencoderNetwork, path: str | os.PathLike[str]) -> None:
    """Put the weights of a file into a network; those of the published checkpoint may keep their own names.

    Raises
    ------
    WeightsError
    """
    load_strictly(network, _own_names(read_state(path)), str(path), "does the autoencoder have the same shape?")


def _own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what a wrapper around the network put before them."""
    prefix = "autoencoder."
    if state and all(key.startswith(prefix) for key in state):
        return {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def save_autoencoder(
    autoencoder: Autoencoder, folder: str | os.PathLike[str], card: str | None = None, half: bool = False
) -> Path:
    """Write an autoencoder as a folder that `load_autoencoder` reads; files are written whole or not at all.

    Parameters
    ----------
    autoencoder : Autoencoder
        What to save.
    folder : path
        Folder to write to; made if needed.
    card : str, optional
        Its card (Markdown); without one, a short card of the facts that are known.
    half : bool
        Store the weights as float16: half the size, rounded.

    Raises
    ------
    WriteError

    Examples
    --------
    >>> folder = save_autoencoder(load_autoencoder("esc10-mn"), "tuned")
    >>> load_autoencoder(folder).name
    'esc10-mn'
    """
    config = {"autoencoder": autoencoder.config.as_dict(), "name": autoencoder.name, "info": autoencoder.info}
    card = _card(autoencoder) if card is None else card
    return write_model_folder(folder, "autoencoder", config, autoencoder.network.state_dict(), card, half)


def _card(autoencoder: Autoencoder) -> str:
    config, tuned = autoencoder.config, autoencoder.info.get("tuned_to")
    n = sum(p.numel() for p in autoencoder.network.parameters())
    target = tuned.get("name", "a classifier without a name") if isinstance(tuned, Mapping) else "no classifier"
    description = (
        f"An autoencoder of waveforms: {n:,} parameters, {config.sample_rate} Hz, {config.in_channels} channel(s),\n"
        f"{config.compression} samples a latent frame. Tuned to: {target}."
    )
    return short_card(autoencoder.name, description, autoencoder.info, "load_autoencoder", results=False)

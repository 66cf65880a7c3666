"""Model folders: ``model.safetensors``, ``config.json`` and a model card, on disk or on the Hugging Face hub."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core.errors import DownloadError, OtoscopeError, UnsupportedError, WeightsError
from otoscope.core.files import atomic_write, make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.runtime import require

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
KINDS = {"architecture": str, "settings": dict, "labels": list, "multilabel": bool, "name": str}


def load_folder(folder: Path, weights: str | os.PathLike[str] = "published") -> Classifier:
    """A classifier from a model folder; ``weights`` as in `load_classifier`.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or does not fit.
    """
    config = read_config(folder, KINDS, "model")
    arguments, info = {key: config[key] for key in KINDS}, config.get("info", {})
    try:
        model = build(**arguments, info=info)
    except OtoscopeError as error:
        raise WeightsError(f"model folder {folder}: {CONFIG}: {error}") from error
    if weights == "random":
        model.info["weights"] = "random"
        return model
    path = folder / WEIGHTS if weights == "published" else Path(weights)
    load_strictly(model.network, read_state(path), str(path))
    model.info["weights"] = path.name
    return model


def read_config(folder: Path, kinds: Mapping[str, type], what: str) -> dict[str, Any]:
    """The ``config.json`` of a folder, with all keys that it needs and each of the right kind.

    Parameters
    ----------
    folder : Path
    kinds : mapping
        Key -> type; ``info``, where it is there, must be a mapping.
    what : str
        Of what the folder is, for the error.

    Raises
    ------
    WeightsError
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{what} folder {folder}: {CONFIG} is missing, damaged or no JSON ({_reason(error)})"
        ) from error
    if not isinstance(config, dict):
        raise WeightsError(f"{what} folder {folder}: {CONFIG} must be a mapping; got {type(config).__name__}")
    if lacking := [repr(key) for key in kinds if key not in config]:
        raise WeightsError(f"{what} folder {folder}: {CONFIG} lacks {', '.join(lacking)}")
    wrong = [key for key, kind in {**kinds, "info": dict}.items() if not isinstance(config.get(key, {}), kind)]
    if wrong:
        raise WeightsError(f"{what} folder {folder}: {CONFIG} holds something of another kind in {', '.join(wrong)}")
    return config


def write_state(path: Path, state: Mapping[str, Tensor], half: bool = False) -> None:
    """Write tensors as safetensors, whole or not at all; ``half`` rounds fractions to float16."""
    from safetensors.torch import save_file

    plain_state = {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}
    if half:
        plain_state = {k: v.half() if v.is_floating_point() else v for k, v in plain_state.items()}
    with atomic_write(path) as part:
        save_file(plain_state, str(part))


def save_folder(
    classifier: Classifier, folder: str | os.PathLike[str], card: str | None = None, half: bool = False
) -> Path:
    """Write a classifier as a model folder that `load_classifier` reads.

    Parameters
    ----------
    classifier : Classifier
        Of one of Otoscope's architectures.
    folder : path
    card : str, optional
        The model card (Markdown); without one, a short card of the facts that are known.
    half : bool
        Store the weights as float16: half the size, rounded.

    Returns
    -------
    Path

    Raises
    ------
    UnsupportedError
        If the classifier was wrapped and cannot be built again from a configuration.
    WriteError
        If a file cannot be written; files are written whole or not at all.
    """
    if classifier.config is None:
        raise UnsupportedError(
            f"classifier {classifier.name!r} was wrapped, and only you know how to build it; save it with its own library"
        )
    target = make_folder(folder)
    write_state(target / WEIGHTS, classifier.network.state_dict(), half)
    config = {
        **classifier.config,
        "settings": {**classifier.config["settings"], **classifier.state_settings()},
        "name": classifier.name,
        "labels": list(classifier.labels),
        "multilabel": classifier.multilabel,
        "info": {k: v for k, v in classifier.info.items() if k != "weights"},
    }
    write_text(target / CONFIG, json.dumps(to_jsonable(config), indent=1) + "\n")
    write_text(target / CARD, short_card(classifier) if card is None else card)
    return target


def short_card(classifier: Classifier) -> str:
    """A model card of the facts that are known without its training."""
    info = classifier.info
    config: dict[str, Any] = classifier.config or {}
    n = sum(p.numel() for p in classifier.network.parameters())
    settings = ", ".join(f"{k}={v}" for k, v in config.get("settings", {}).items()) or "none"
    return f"""# {classifier.name}

A classifier of sounds: architecture `{config.get("architecture", "?")}` ({settings}), {n:,} parameters,
{classifier.sample_rate} Hz mono, {len(classifier.labels)} classes ({"independent" if classifier.multilabel else "exclusive"}).

Data: {info.get("trained_on", "not recorded")}. Licence: {info.get("licence", "not recorded")}.
Results: {info.get("results", "not recorded")}.

Load it with `otoscope.load_classifier("FOLDER")`.
"""


def load_pretrained(source: str | os.PathLike[str], revision: str | None = None) -> Classifier:
    """A classifier from a model folder, or from a repository on the Hugging Face hub that holds one.

    Raises
    ------
    WeightsError, DownloadError, MissingExtraError
    """
    folder = Path(source)
    if folder.exists():
        return load_folder(folder).eval()
    hub = require("huggingface_hub", "hf", "loading from the hub")
    try:
        folder = Path(hub.snapshot_download(str(source), revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except Exception as error:
        raise DownloadError(
            f"could not fetch {source} from the Hugging Face hub ({_reason(error)}); check the name and the network, or "
            "give a folder"
        ) from error
    return load_folder(folder).eval()


def push_folder(classifier: Classifier, repo_id: str, private: bool = False, token: str | None = None) -> str:
    """Upload a classifier as a model folder; returns the address.

    Raises
    ------
    DownloadError, MissingExtraError, UnsupportedError
    """
    hub = require("huggingface_hub", "hf", "uploading to the hub")
    with tempfile.TemporaryDirectory() as scratch:
        save_folder(classifier, scratch)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id, folder_path=scratch, commit_message=f"{classifier.name}: model folder"
            )
        except Exception as error:
            raise DownloadError(
                f"could not upload to {repo_id} on the Hugging Face hub ({_reason(error)}); log in with `hf auth login`, "
                "and check the name and the network"
            ) from error
    return str(getattr(done, "commit_url", repo_id))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

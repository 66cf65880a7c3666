"""Model folders, of every kind of model: ``config.json``, ``model.safetensors`` and a card, on disk or on the Hugging Face hub.

A kind of model defines the keys of its ``config.json`` and how to build a network from them; the rest is shared. ``format`` is
the version of this layout; folders without it are older, and still load.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from otoscope.core.errors import DownloadError, WeightsError
from otoscope.core.files import atomic_write, make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.runtime import require

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like one of a model."""
    return (path / CONFIG).is_file()


def read_config(folder: Path, keys: Mapping[str, type], kind: str, what: str = "") -> dict[str, Any]:
    """The ``config.json`` of a model folder, with all keys that its kind needs.

    Parameters
    ----------
    folder : Path
        The model folder.
    keys : mapping of str to type
        What must be there. ``info`` may be there, and is then a mapping.
    kind : str
        The kind of model, as `write_model_folder` wrote it.
    what : str, optional
        What the folder is called in errors; by default the kind.

    Returns
    -------
    dict

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another kind of model or of a later version of Otoscope.
    """
    where = f"{what or kind} folder {folder}: {CONFIG}"
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{where} is missing, damaged or not JSON ({reason(error)})") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{where} must be a mapping; got {type(config).__name__}")
    version, own = config.get("format", 0), config.get("kind", kind)
    if not isinstance(version, int) or version > FORMAT:
        raise WeightsError(
            f"{where} has format {version!r}, and this version of Otoscope reads formats up to {FORMAT}; update Otoscope"
        )
    if lacking := [repr(key) for key in keys if key not in config]:
        hint = f"; it is the folder of another kind of model: {own}" if own != kind else ""
        raise WeightsError(f"{where} lacks {', '.join(lacking)}{hint}")
    wrong = [key for key, type_ in {**keys, "info": dict}.items() if not isinstance(config.get(key, {}), type_)]
    if wrong:
        raise WeightsError(f"{where} holds something of another kind in {', '.join(wrong)}")
    return config


def write_model_folder(
    folder: str | os.PathLike[str],
    kind: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    card: str,
    half: bool = False,
) -> Path:
    """Write a model folder; each file is written whole or not at all.

    Parameters
    ----------
    folder : path
        Made if needed; a model in it is replaced.
    kind : str
        The kind of model.
    config : mapping
        Content of ``config.json``, without ``format`` and ``kind``.
    state : mapping of str to Tensor
        The weights.
    card : str
        The model card (Markdown).
    half : bool
        Round floating-point weights to float16, which halves the size.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    WriteError
    """
    from safetensors.torch import save_file

    target = make_folder(folder)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    if half:
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    with atomic_write(target / WEIGHTS) as part:
        save_file(tensors, str(part))
    content = {"format": FORMAT, "kind": kind, **config}
    write_text(target / CONFIG, json.dumps(to_jsonable(content), indent=1) + "\n")
    write_text(target / CARD, card)
    return target


def short_card(name: str, description: str, info: Mapping[str, Any], load: str, results: bool = True) -> str:
    """A model card of the facts that are known without a training.

    Parameters
    ----------
    name : str
        Of the model.
    description : str
        What it is.
    info : mapping
        ``trained_on``, ``licence`` and ``results``, as far as they are known.
    load : str
        The function of Otoscope that loads it.
    results : bool
        Whether it has results to report.
    """
    known = {key: info.get(key, "not recorded") for key in ("trained_on", "licence", "results")}
    scores = f"\nResults: {known['results']}." if results else ""
    return (
        f"# {name}\n\n{description}\n\nData: {known['trained_on']}. Licence: {known['licence']}.{scores}\n\n"
        f'Load it with `otoscope.{load}("FOLDER")`.\n'
    )


def fetch_model_folder(source: str | os.PathLike[str], revision: str | None = None) -> Path:
    """A model folder on disk, or fetched from a repository on the Hugging Face hub.

    Parameters
    ----------
    source : str or path
        A folder, or the name of a repository.
    revision : str, optional
        Of the repository: a branch, tag or commit.

    Raises
    ------
    DownloadError, MissingExtraError
    """
    if Path(source).exists():
        return Path(source)
    hub = require("huggingface_hub", "hf", "loading from the hub")
    try:
        return Path(hub.snapshot_download(str(source), revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except Exception as error:
        raise DownloadError(
            f"could not fetch {source} from the Hugging Face hub ({reason(error)}); check the name and the network, or give a "
            "folder"
        ) from error


def push_model_folder(
    save: Callable[[str], object], name: str, repo_id: str, private: bool = False, token: str | None = None
) -> str:
    """Upload a model folder to the Hugging Face hub.

    Parameters
    ----------
    save : callable
        Writes the model folder to the path that it is given.
    name : str
        Of the model, for the message of the commit.
    repo_id : str
        The repository, made if needed.
    private : bool
        Whether a new repository is private.
    token : str, optional
        Of the hub; by default that of the user who is logged in.

    Returns
    -------
    str
        The address of the commit.

    Raises
    ------
    DownloadError, MissingExtraError
    """
    hub = require("huggingface_hub", "hf", "uploading to the hub")
    with tempfile.TemporaryDirectory() as scratch:
        save(scratch)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.upload_folder(repo_id=repo_id, folder_path=scratch, commit_message=f"{name}: model folder")
        except Exception as error:
            raise DownloadError(
                f"could not upload to {repo_id} on the Hugging Face hub ({reason(error)}); log in with `hf auth login`, and "
                "check the name and the network"
            ) from error
    return str(getattr(done, "commit_url", repo_id))


def reason(error: Exception) -> str:
    """A foreign error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

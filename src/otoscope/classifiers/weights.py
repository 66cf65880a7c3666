"""Reading and fetching weights. Nothing unpickles code."""

from __future__ import annotations

import http.client
import logging
import os
import pickle
import re
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.keras_weights import ENDINGS as HDF5
from otoscope.classifiers.keras_weights import read_hdf5
from otoscope.core.errors import DownloadError, OtoscopeError, WeightsError
from otoscope.core.files import atomic_write, cache_folder

log = logging.getLogger("otoscope")
EXTRAS = (
    "loss",
    "loss_fn",
    "criterion",
    "metric",
    "metrics",
    "train_metrics",
    "val_metrics",
    "valid_metrics",
    "test_metrics",
)


def cached(file_name: str) -> Path:
    """Where a fetched file of weights is kept."""
    return cache_folder() / "weights" / file_name


def mirrored(url: str) -> str:
    """The address to fetch from: ``$OTOSCOPE_RELEASES``, where it is set, in place of the file's own folder."""
    base = os.environ.get("OTOSCOPE_RELEASES")
    return f"{base.rstrip('/')}/{url.rsplit('/', 1)[-1]}" if base else url


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a torch checkpoint read with ``weights_only=True``.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, holds code, or holds no tensors.
    """
    file = Path(path)
    if not file.is_file():
        kind = "is a folder" if file.is_dir() else "does not exist"
        raise WeightsError(f"weights {file} {kind}; give a .safetensors file or a torch state_dict (.pt)")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        if file.suffix.casefold() in HDF5:
            return read_hdf5(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a pickle's protocol; our error reports it
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {file} were refused: the file is damaged or holds Python code, which could do anything on loading; "
            "save model.state_dict() or convert it to safetensors"
        ) from error
    except OtoscopeError:
        raise
    except Exception as error:
        reason = "" if isinstance(error, KeyError) else str(error).strip().split("\n")[0]
        said = type(error).__name__ + (f": {reason}" if reason else "")
        why = "" if isinstance(error, OSError) else ": the file is damaged or not a checkpoint"
        raise WeightsError(f"weights {file} cannot be read{why} ({said})") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise WeightsError(f"weights {file} hold {type(content).__name__}, not a state_dict of tensors")
    for key, value in content.items():
        if not isinstance(key, str):
            raise WeightsError(f"weights {file} have a key that is not a string ({key!r}); save model.state_dict()")
        if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_nested:
            raise WeightsError(
                f"weights {file}: {key} is sparse, nested, quantized or without values (meta); save plain dense tensors"
            )
    return content


def number_kind(tensor: Tensor) -> str:
    """What the tensor's numbers are: floating, complex, bool or integer."""
    if tensor.is_floating_point():
        return "floating"
    return "complex" if tensor.is_complex() else "bool" if tensor.dtype == torch.bool else "integer"


def load_body(network: nn.Module, state: dict[str, Tensor], head: tuple[str, ...], origin: str) -> None:
    """Put another task's tensors into the network, all but the head's (names that start with one of ``head``).

    Raises
    ------
    WeightsError
        If anything of the body is missing, unknown or of another shape.
    """
    own = network.state_dict()
    new_head = {k: v for k, v in own.items() if k.startswith(head)}
    load_strictly(network, {**{k: v for k, v in state.items() if not k.startswith(head)}, **new_head}, origin)


def load_strictly(
    network: nn.Module, state: dict[str, Tensor], origin: str, hint: str = "is it the right model name?"
) -> None:
    """Put the tensors into the network; every name, shape and kind of number must agree.

    Prefixes that wrappers for training put before the names (``model.``, ``module.``, ``_orig_mod.``) are taken off where all else
    then fits.

    Raises
    ------
    WeightsError
        Naming the first mismatches.
    """
    own = network.state_dict()
    if set(own) != set(state):
        state = _bare(state, set(own), origin)
    missing = [k for k in own if k not in state]
    extra = [k for k in state if k not in own]
    wrong = [
        f"{k} is {tuple(state[k].shape)}, expected {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    problems = []
    if wrong:
        problems.append(f"{len(wrong)} of another shape ({'; '.join(wrong[:3])})")
    other = [
        f"{k} is {str(state[k].dtype).removeprefix('torch.')}, expected {str(own[k].dtype).removeprefix('torch.')}"
        for k in own
        if k in state and number_kind(state[k]) != number_kind(own[k])
    ]
    if other:
        problems.append(f"{len(other)} of another kind of number ({'; '.join(other[:3])})")
    if missing:
        problems.append(f"{len(missing)} missing ({', '.join(missing[:3])})")
    if extra:
        problems.append(f"{len(extra)} unknown ({', '.join(extra[:3])})")
    if problems:
        raise WeightsError(f"weights {origin} do not fit this network: {'; '.join(problems)}; {hint}")
    network.load_state_dict(state)


def _bare(state: dict[str, Tensor], own: set[str], origin: str) -> dict[str, Tensor]:
    """The tensors under the network's own names if wrappers only added prefixes; otherwise as they are.

    Lightning, DistributedDataParallel and ``torch.compile`` add ``model.``, ``module.`` or ``_orig_mod.``, also on top of one
    another and in the middle of a name; a module for training may hold losses and metrics besides. What is taken off must leave
    exactly the network's names, and is logged.
    """
    plain = {re.sub(r"(^|\.)((_orig_mod|module)\.)+", r"\1", k): v for k, v in state.items()}
    extra = [k for k in plain if k.split(".")[0] in EXTRAS and k not in own]
    kept = {k: v for k, v in plain.items() if k not in extra}
    longest = max(own, key=len, default="")
    prefix = next((k[: -len(longest)] for k in kept if k == longest or k.endswith(f".{longest}")), "")
    inner = {k.removeprefix(prefix): v for k, v in kept.items()}
    if set(inner) != own or not all(k.startswith(prefix) for k in kept) or len(plain) != len(state):
        return state
    off = next((k[: -len(longest)] for k in state if k.endswith(f".{longest}")), "")
    said = f"the prefix {off!r} was taken off the names" if off else "names were simplified"
    left = f", and {', '.join(extra[:3])} left out" if extra else ""
    log.warning("weights %s: %s%s", origin, said, left)
    return inner


def fetch(url: str, file_name: str, sha256: str | None = None) -> Path:
    """The file in the cache, downloaded first if it is not there, with progress.

    Parameters
    ----------
    url : str
        Address, ``http`` or ``https``.
    file_name : str
        Name in the cache.
    sha256 : str, optional
        Checked after the download.

    Raises
    ------
    DownloadError
        If there is no network, the server refuses, or the file is not what it should be.
    """
    target = cached(file_name)
    if target.is_file():
        return target
    url = mirrored(url)
    with atomic_write(target) as part:
        try:
            _download(url, part, sha256)
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, DownloadError):
                raise
            reason = getattr(error, "reason", error)
            raise DownloadError(
                f"could not fetch {url} ({reason}); check the network, or download it elsewhere and pass it with "
                f"--weights FILE (or put it at {target})"
            ) from error
    return target


def _download(url: str, part: Path, sha256: str | None) -> None:
    import hashlib

    from tqdm import tqdm

    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=30) as reply, part.open("wb") as out:
        total = int(reply.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1], delay=0.5) as bar:
            while block := reply.read(1 << 18):
                out.write(block)
                digest.update(block)
                bar.update(len(block))
        if total and out.tell() != total:
            raise DownloadError(f"the download of {url} stopped after {out.tell()} of {total} bytes; try again")
    if sha256 and digest.hexdigest() != sha256:
        raise DownloadError(f"{url} is not the file that was expected (SHA-256 {digest.hexdigest()}); nothing was kept")

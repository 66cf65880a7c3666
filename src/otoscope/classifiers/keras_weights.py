"""Weights in HDF5, as Keras writes them: reading, and turning kernels to torch's layouts. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.core.errors import WeightsError
from otoscope.core.runtime import require

ENDINGS = (".hdf5", ".h5", ".hdf")
LARGEST = 2**31  # bytes of one array


def read_hdf5(path: Path) -> dict[str, Tensor]:
    """All arrays of an HDF5 file of weights, by the last two parts of their names, such as ``conv1/kernel``.

    Parameters
    ----------
    path : Path
        Written by Keras: a group for each layer, and within it the arrays of the layer.

    Raises
    ------
    WeightsError
        If the file is damaged, holds no arrays of numbers, refers to other files, or two arrays have one name.
    """
    h5py = require("h5py", "hdf5", "weights in HDF5")
    found: dict[str, Tensor] = {}
    try:
        with h5py.File(path, "r") as file:
            for name, array in _arrays(h5py, file.get("model_weights", file), path):
                short = "/".join(part.partition(":")[0] for part in name.split("/")[-2:])
                if short in found:
                    raise WeightsError(f"weights {path} hold two arrays {short!r}; expected one network")
                found[short] = torch.from_numpy(array)
    except WeightsError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"weights {path} cannot be read as HDF5 ({reason}): the file is damaged or cut short"
        ) from error
    if not found:
        raise WeightsError(f"weights {path} hold no arrays; expected a file that Keras' save_weights wrote")
    return found


def _arrays(h5py: Any, group: Any, path: Path) -> list[tuple[str, np.ndarray]]:
    """Names and values below a group; links to other files are refused, and never followed."""
    arrays = []
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(
                f"weights {path}: {key!r} is a link, which may lead to another file; save the weights again"
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            arrays += [(f"{key}/{name}", array) for name, array in _arrays(h5py, item, path)]
            continue
        if item.external or item.is_virtual:
            raise WeightsError(f"weights {path}: {key!r} is stored in another file; save the weights again")
        if item.dtype.kind in "iub":  # counts, such as how often a normalisation was updated
            continue
        if item.dtype.kind != "f" or item.nbytes > LARGEST:
            raise WeightsError(
                f"weights {path}: {key!r} is {item.dtype} of {item.shape}; expected floating-point numbers"
            )
        arrays.append((key, np.asarray(item, np.float32)))
    return arrays


def convolution(kernel: Tensor) -> Tensor:
    """Keras' kernel ``(frame, freq, in, out)`` as torch's ``(out, in, freq, frame)``; transposed ones swap in and out."""
    return kernel.permute(3, 2, 1, 0).contiguous()


def norm(state: dict[str, Tensor], layer: str, name: str) -> dict[str, Tensor]:
    """A batch norm's tensors under torch's names."""
    keys = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return {
        **{f"{name}.{ours}": state[f"{layer}/{theirs}"] for ours, theirs in keys.items()},
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def lstm(state: dict[str, Tensor], layer: str, suffix: str) -> dict[str, Tensor]:
    """One direction of an LSTM under torch's names; both keep the gates in the order input, forget, cell, output."""
    return {
        f"lstm.weight_ih_l0{suffix}": state[f"{layer}/kernel"].permute(1, 0).contiguous(),
        f"lstm.weight_hh_l0{suffix}": state[f"{layer}/recurrent_kernel"].permute(1, 0).contiguous(),
        f"lstm.bias_ih_l0{suffix}": state[f"{layer}/bias"],
        f"lstm.bias_hh_l0{suffix}": torch.zeros_like(state[f"{layer}/bias"]),
    }


def dense(state: dict[str, Tensor], layer: str, name: str) -> dict[str, Tensor]:
    """A dense layer under torch's names."""
    found = {f"{name}.weight": state[f"{layer}/kernel"].permute(1, 0).contiguous()}
    return found | ({f"{name}.bias": state[f"{layer}/bias"]} if f"{layer}/bias" in state else {})

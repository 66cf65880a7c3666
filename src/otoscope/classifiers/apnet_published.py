"""The checkpoints of APNet's authors: APNet for urban sounds, and its two baselines for spoken words, in Keras' HDF5.

Source: zinemanas2021apnet, with the scalers that the authors saved. Their networks have sums for distances (``published``), batch
norms and gates as in Keras 2.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from otoscope.classifiers.checkpoints import Checkpoint, register_checkpoint
from otoscope.classifiers.keras_weights import convolution, dense, lstm, norm
from otoscope.core.errors import WeightsError

BASE = "https://raw.githubusercontent.com/pzinemanas/APNet/master/experiments"
TOP_DB = 80.0  # below the loudest cell of each sound


@cache
def scalers() -> dict[str, Any]:
    """Labels, limits in dB, or means and deviations of each band, by checkpoint."""
    text = (files("otoscope.classifiers") / "assets" / "apnet_scalers.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def apnet_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's arrays under the names of `otoscope.classifiers.apnet`."""
    found = {}
    for part, layers in (("encoder", ("conv1", "conv2", "conv3")), ("decoder", ("deconv1", "deconv2", "deconv3"))):
        for layer in layers:
            found[f"{part}.{layer}.weight"] = convolution(_one(state, f"{layer}/kernel"))
            found[f"{part}.{layer}.bias"] = _one(state, f"{layer}/bias")
    maps = _one(state, r"prototype_distances(_\d+)?/prototype_feature_vectors")  # (prototype, frame, freq, channel)
    found["prototypes.maps"] = maps.permute(0, 3, 2, 1).contiguous()
    found["prototypes.scale"] = torch.tensor(float(maps[0, :, 0].numel()))  # distances are sums
    found["prototypes.weights"] = _one(state, r"mean(_\d+)?/prototype_feature_vectors")
    found["out.weight"] = _one(state, r"logits(_\d+)?/kernel").permute(1, 0).contiguous()
    return found


def sb_cnn_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's arrays under the names of `otoscope.classifiers.sb_cnn`."""
    found = {}
    for n in (1, 2, 3):
        found[f"conv{n}.weight"] = convolution(_one(state, f"conv{n}/kernel"))
        found[f"conv{n}.bias"] = _one(state, f"conv{n}/bias")
        found |= norm(state, f"batchnorm{n}", f"norm{n}")
    kernel, channels = _one(state, "dense1/kernel"), len(found["conv3.bias"])
    frames, units = 2, kernel.shape[1]  # of the last map of 60 frames
    if kernel.shape[0] % (frames * channels):
        raise WeightsError(f"dense1 has {kernel.shape[0]} inputs; expected a multiple of {frames * channels}")
    # Keras flattens (frame, freq, channel), torch (channel, freq, frame)
    turned = kernel.reshape(frames, -1, channels, units).permute(3, 2, 1, 0)
    found |= {"dense1.weight": turned.reshape(units, -1), "dense1.bias": _one(state, "dense1/bias")}
    return found | dense(state, "out", "out")


def attention_rnn_weights(state: dict[str, Tensor], scaler: Mapping[str, Any]) -> dict[str, Tensor]:
    """The file's arrays, and the scaler of its features, under the names of `otoscope.classifiers.attention_rnn`."""
    found = {"mean": torch.tensor(scaler["mean"]), "scale": torch.tensor(scaler["scale"])}
    for n in (1, 2):
        found[f"conv{n}.weight"] = _one(state, f"conv2d_{n}/kernel").permute(3, 2, 0, 1).contiguous()
        found[f"conv{n}.bias"] = _one(state, f"conv2d_{n}/bias")
        found |= norm(state, f"batch_normalization_{n}", f"norm{n}")
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            parts = lstm(state, f"{way}_lstm_{n}", suffix)
            found |= {f"recurrent{n}.{name}": value for name, value in parts.items()}
    for theirs, ours in (("dense_1", "query"), ("dense_2", "dense1"), ("dense_3", "dense2"), ("output", "out")):
        found |= dense(state, theirs, ours)
    return found


def _one(state: Mapping[str, Tensor], name: str) -> Tensor:
    """The array of a name, which is a regular expression."""
    keys = [key for key in state if re.fullmatch(name, key)]
    if len(keys) != 1:
        raise WeightsError(
            f"the file has no array {name!r}, but {', '.join(sorted(state)[:6])}, ...; is it of another network?"
        )
    return state[keys[0]]


def _register(
    name: str, key: str, architecture: str, settings: Mapping[str, Any], where: str, summary: str,
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> None:  # fmt: skip
    known = scalers()[key]
    shared = {"top_db": TOP_DB, **({"low_db": known["min"], "high_db": known["max"]} if "min" in known else {})}
    features = known["features"]
    sizes = {"sample_rate": features["sample_rate"], "n_fft": features["n_fft"], "hop": features["hop"]}
    register_checkpoint(
        Checkpoint(
            name, architecture, {**sizes, "n_mels": features["bands"], **shared, **settings}, f"{BASE}/{where}", f"{key}.hdf5",
            lambda: known["labels"], summary=summary, licence="MIT", source="zinemanas2021apnet", multilabel=False,
            sample_rate=features["sample_rate"], classes=len(known["labels"]), convert=convert,
        )
    )  # fmt: skip


_register(
    "apnet_us8k", "us8k_fold1_refined", "apnet", {"frames": 84, "channels": 32, "prototypes": 17, "published": True},
    "UrbanSound8k/APNet_76/refine_prototypes/fold1/best_weights.hdf5",
    "APNet for the ten urban sounds of UrbanSound8K (fold 1), refined to 17 prototypes by its authors.", apnet_weights,
)  # fmt: skip
_register(
    "sb_cnn_speech_commands", "speech_commands_sb_cnn", "sb_cnn", {"frames": 60},
    "GoogleSpeechCommands/SB_CNN/test/best_weights.hdf5",
    "SB-CNN for the 35 words of Speech Commands, by APNet's authors.", sb_cnn_weights,
)  # fmt: skip
_register(
    "attention_rnn_speech_commands", "speech_commands_attention_rnn", "attention_rnn",
    {"published": True, "low_db": -1.0, "high_db": 1.0},
    "GoogleSpeechCommands/AttRNNSpeechModel/test/best_weights.hdf5",
    "AttRNN for the 35 words of Speech Commands, by APNet's authors.",
    lambda state: attention_rnn_weights(state, scalers()["speech_commands_attention_rnn"]),
)  # fmt: skip

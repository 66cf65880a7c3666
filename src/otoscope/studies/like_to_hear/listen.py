"""The sounds of the listening page, and each network's prediction for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import encode
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.files import atomic_write, make_folder
from otoscope.datasets import Dataset
from otoscope.metrics.signal import si_sdr_db
from otoscope.recipes.runs import write_json
from otoscope.studies.like_to_hear.measure import ORIGINAL, Evaluator
from otoscope.studies.like_to_hear.members import CONTROL
from otoscope.studies.like_to_hear.settings import LikeToHearRecipe
from otoscope.training.data import Clips

INTRO = (
    "An autoencoder stood in front of each network and was tuned by that network's loss alone. Its reconstruction is the sound "
    "that still brings the network to its answer; the difference is what it could do without. The control was trained to give "
    "the sound back and knows no network: what it lacks, the autoencoder cannot carry."
)


def write_listening(evaluator: Evaluator, test: Dataset, out: Path, accuracy: dict[str, float]) -> dict[str, Any]:
    """Write the sounds of the page into its folder and return its contents, also as ``listening.json``.

    ``accuracy`` is each network's on the originals.
    """
    recipe = evaluator.recipe
    networks = [n for n in recipe.classifiers if recipe.classifiers[n].group in recipe.listen.groups]
    make_folder(out / "audio")
    clips = []
    samples = Clips(test, evaluator.rate, recipe.data)
    for i in choose(recipe, test):
        example, versions = test.examples[i], _versions(evaluator, samples[i][0][None], i, networks, out)
        clips.append({"file": example.path.name, "label": example.label, "versions": versions})
    contents: dict[str, Any] = {
        "title": recipe.title,
        "intro": INTRO,
        "sample_rate": evaluator.rate,
        "networks": [
            {"name": n, "title": recipe.classifiers[n].title or n, "accuracy": accuracy.get(n)} for n in networks
        ],
        "starts": [{"name": k, "title": v.title or k} for k, v in recipe.tune.starts.items()],
        "clips": clips,
    }
    return dict(write_json(out / "listening.json", contents))


def choose(recipe: LikeToHearRecipe, test: Dataset) -> list[int]:
    """Numbers of the clips to hear, in the test folds' order: those of the recipe, or the first of each class."""
    files = [example.path.name for example in test.examples]
    chosen = []
    for wanted in recipe.listen.clips:
        if isinstance(wanted, str):
            if wanted not in files:
                raise UnknownNameError("clip of the test folds", wanted, files)
            chosen.append(files.index(wanted))
        elif 0 <= wanted < len(files):
            chosen.append(wanted)
        else:
            raise ParameterError(
                f"listen.clips: there are {len(files)} test clips, 0 to {len(files) - 1}; got {wanted}"
            )
    if chosen:
        return chosen
    classes = [example.index for example in test.examples]
    return [classes.index(c) for c in sorted(set(classes))]


def _versions(
    evaluator: Evaluator, waveform: Tensor, number: int, networks: list[str], out: Path
) -> list[dict[str, Any]]:
    """All versions of one clip, each written as a file."""
    with torch.inference_mode():
        sounds = evaluator.all_sounds(waveform)
        original = sounds[ORIGINAL]
        found = [_version(evaluator, original, f"{number}-original", networks, out) | {"kind": "original"}]
        control = _version(evaluator, sounds[CONTROL], f"{number}-control", networks, out)
        about = {"kind": "control", "title": "autoencoder trained by MSE alone"}
        found.append(control | about | _close(sounds[CONTROL], original))
        for key, tuned in evaluator.members.autoencoders.items():
            if tuned.classifier not in networks:
                continue
            about = {"network": tuned.classifier, "start": tuned.start}
            made = _version(evaluator, sounds[key], f"{number}-{key}", networks, out)
            found.append(made | about | {"kind": "reconstruction"} | _close(sounds[key], original))
            rest = _version(evaluator, original - sounds[key], f"{number}-{key}-difference", networks, out)
            found.append(rest | about | {"kind": "difference"})
    return found


def _close(sound: np.ndarray, original: np.ndarray) -> dict[str, float]:
    return {"si_sdr_db": float(si_sdr_db(sound, original)[0])}


def _version(evaluator: Evaluator, sound: np.ndarray, name: str, networks: list[str], out: Path) -> dict[str, Any]:
    """One sound as a file, and each network's prediction for it."""
    data, gain = encode(sound, evaluator.rate, "FLAC")
    path = out / "audio" / f"{name}.flac"
    with atomic_write(path) as part:
        part.write_bytes(data)
    said = {}
    for network in networks:
        p = evaluator.score(network, sound)[0]
        said[network] = {"label": evaluator.labels[int(p.argmax())], "p": float(p.max())}
    version: dict[str, Any] = {"audio": f"audio/{path.name}", "said": said}
    if gain > 1:
        version["attenuated_db"] = float(20 * np.log10(gain))
    return version

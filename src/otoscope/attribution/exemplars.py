"""Sounds that explain by similarity: the prototypes that contributed most to a class, for it or against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import load_audio
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_maps import record_maps
from otoscope.classifiers.prototype_network import decode_latent, list_prototypes, owners, prototype_network
from otoscope.classifiers.prototype_space import PrototypeSpace, best_heard, read_space
from otoscope.core.errors import OtoscopeError, UnsupportedError
from otoscope.surgery import state_digest

SHOWN = 3
LOGIT, SHARE = "contribution to the logit", "share of the vote"
STORED = "prototypes"  # folder of a model folder's sounds, which `otoscope prototypes sounds` writes


@dataclass(frozen=True, eq=False)
class Exemplar:
    """One sound that a clip was compared with.

    Parameters
    ----------
    id, name : str
        Of the prototype.
    label : str
        The class that it votes for.
    contribution : float
        To the target's logit, or to the vote for its class.
    similarity : float
        Of the clip and the prototype.
    samples : ndarray (time,)
        The sound.
    sample_rate : int, Hz
        Its rate.
    note : str
        What the sound is.
    measure : str
        What the contribution is: `LOGIT` of prototypes that decide, `SHARE` of those that only explain.
    sha256 : str
        Of the weights that hold it, or of the fitted prototypes' vectors.

    Examples
    --------
    >>> Exemplar("p1", "dog 1", "dog", 0.8, 0.9, np.zeros(8), 8000, "the nearest training clip").row()["name"]
    'dog 1'
    """

    id: str
    name: str
    label: str
    contribution: float
    similarity: float
    samples: np.ndarray
    sample_rate: int
    note: str
    measure: str = LOGIT
    sha256: str = ""

    def row(self) -> dict[str, Any]:
        """What a record holds of it: all but the sound."""
        names = ("id", "name", "label", "contribution", "similarity", "note", "measure", "sha256")
        return {name: getattr(self, name) for name in names}


def network_exemplars(
    classifier: Classifier, waveforms: Sequence[Tensor], target: int, n: int = SHOWN
) -> list[Exemplar]:
    """The prototypes of a prototype network that contributed most to a class, in size.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    waveforms : sequence of Tensor (time,)
        The windows in which a clip is heard, at the classifier's rate; contributions are means over them.
    target : int
        The class.
    n : int
        How many.

    Returns
    -------
    list of Exemplar
        Their sounds are those that ``otoscope prototypes sounds`` wrote into the model folder; without these, the prototype is
        decoded with the pooling masks of this very clip.
    """
    network = prototype_network(classifier)
    with torch.no_grad():
        features = [classifier.features(w[None].to(classifier.device)).to(classifier.dtype) for w in waveforms]
        own = torch.tensor([target], device=classifier.device)
        given = torch.cat([network.contributions(f, own).sum((2, 3)) for f in features])  # (window, prototype)
        alike = torch.cat([network.prototypes(network.encoder(f).map)[0] for f in features])
    means, similar = given.mean(0), alike.mean(0)
    names, classes, digest = list_prototypes(classifier), owners(classifier), classifier.digest()
    found = []
    for i in means.abs().argsort(descending=True)[:n].tolist():
        best = features[int(alike[:, i].argmax())]
        samples, rate, note = _stored(classifier, names[i].id) or _decoded(classifier, i, best)
        label = classifier.labels[classes[i]]
        numbers = float(means[i]), float(similar[i])
        found.append(Exemplar(names[i].id, names[i].name, label, *numbers, samples, rate, note, LOGIT, digest))
    return found


def fitted_exemplars(
    classifier: Classifier, waveforms: Sequence[Tensor], target: int, folder: str, n: int = SHOWN
) -> list[Exemplar]:
    """The prototypes that were fitted to a classifier and have the largest shares in the vote for a clip.

    Parameters
    ----------
    classifier : Classifier
        That of the prototypes.
    waveforms : sequence of Tensor (time,)
        The windows in which a clip is heard; shares are means over them.
    target : int
        The class; what votes for another one contributes less than 0.
    folder : str
        Of the prototypes, with their sounds.
    n : int
        How many.

    Raises
    ------
    OtoscopeError
        If the folder cannot be read, or is of another classifier.
    """
    space, content = read_space(folder)
    space.check(classifier)
    digest = state_digest({"vectors": space.vectors, "mean": space.mean, "classes": space.classes})
    similar = torch.stack([_similarities(classifier, space, w) for w in waveforms])  # (window, prototype)
    shares, similar = space.shares(similar).mean(0), similar.mean(0)
    found = []
    for i in shares.argsort(descending=True)[:n].tolist():
        row, voted = _row(content, i, folder), int(space.classes[i])
        sign = 1 if voted == target else -1
        samples, rate, note = (
            np.zeros(1, np.float32),
            classifier.sample_rate,
            "no sound: it is the centre of several clips",
        )
        if row.get("file"):
            sound = load_audio(Path(folder) / Path(row["file"]).name)
            samples, rate, note = sound.samples.mean(0), sound.sample_rate, f"a stretch of {row['clip']}"
        name, label = str(row["name"]), space.labels[voted]
        given = sign * float(shares[i]), float(similar[i])
        found.append(Exemplar(str(row["id"]), name, label, *given, samples, rate, note, SHARE, digest))
    return found


def _row(content: dict[str, Any], number: int, folder: str) -> dict[str, str]:
    """What the file says of a prototype."""
    row = content["prototypes"][number]
    if not all(isinstance(row.get(key, ""), str) for key in ("id", "name", "clip", "file")) or "id" not in row:
        raise OtoscopeError(f"the prototypes in {folder} are damaged; fit them again")
    return {"name": row["id"], "clip": "", "file": "", **row}


def _similarities(classifier: Classifier, space: PrototypeSpace, waveform: Tensor) -> Tensor:
    """How alike a window is to each prototype at the place where it is most so, ``(prototype,)``."""
    made = record_maps(classifier, waveform[None], space.layer)
    width = made.cells.frames(space.window_s)
    places = space.similarity(made.maps, width)[0]  # (prototype, row, column)
    return best_heard(space, places, made.cells, waveform.numpy(), width).cpu()


def _decoded(classifier: Classifier, number: int, features: Tensor) -> tuple[np.ndarray, int, str]:
    """A prototype through the decoder, placed by the pooling masks of the clip itself."""
    latent = prototype_network(classifier).prototypes.maps[number].detach()
    try:
        sound = decode_latent(classifier, latent, features)
    except UnsupportedError as error:
        return np.zeros(1, np.float32), classifier.sample_rate, f"no sound: {error}"
    note = "decoded with the pooling masks of this clip, so details of this clip are in it"
    return sound, classifier.sample_rate, note


def _stored(classifier: Classifier, id: str) -> tuple[np.ndarray, int, str] | None:
    """The real sound of a prototype, if the model folder holds that of this very network."""
    name = (classifier.origin or {}).get("name")
    if not isinstance(name, str):
        return None
    folder = Path(name) / STORED
    try:
        content = json.loads((folder / "prototypes.json").read_text(encoding="utf-8"))
        if content["weights"] != classifier.digest():  # of a network that was in this folder before
            return None
        clip = next(row["clip"] for row in content["prototypes"] if row["id"] == id)
        sound = load_audio(folder / f"{id}-real.wav")
    except (OSError, ValueError, KeyError, TypeError, StopIteration, OtoscopeError):
        return None
    return sound.samples.mean(0), sound.sample_rate, f"the nearest training clip, {clip}"

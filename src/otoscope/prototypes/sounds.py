"""Prototypes that can be heard: decoded with the pooling masks of the nearest clip, and that clip itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import write_wav
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import decode_latent, list_prototypes, owners, prototype_network
from otoscope.core.files import make_folder, write_text
from otoscope.datasets import Example
from otoscope.prototypes.clips import EncodedClips, decide, window
from otoscope.prototypes.edit import positions

FORMS = ("decoded", "real")
KIND = "otoscope prototype sounds"


@dataclass(frozen=True)
class PrototypeSound:
    """A prototype as two sounds, and what the network says of them.

    Parameters
    ----------
    id, name : str
        Of the prototype.
    label : int
        The class that it votes for most.
    decoded : ndarray (time,)
        The prototype through the decoder and back to a sound. The decoder places what it makes by the nearest clip's pooling masks,
        so details of that clip are in it.
    real : ndarray (time,)
        The nearest training clip, as far as the network hears it.
    clip : Example
        That clip.
    distance : float
        Of the clip from the prototype, as the network measures it: mean over frequencies.
    heard : dict of str to ndarray (class,)
        The network's probabilities for both sounds, as they are written.

    Examples
    --------
    >>> sound = prototype_sounds(model, clips, ["p3"])[0]
    >>> sound.name, sound.is_heard("real")
    ('low 1', True)
    """

    id: str
    name: str
    label: int
    decoded: np.ndarray
    real: np.ndarray
    clip: Example
    distance: float
    heard: dict[str, np.ndarray]

    def is_heard(self, form: str) -> bool:
        """Whether the network gives a form, ``decoded`` or ``real``, the prototype's class."""
        return int(self.heard[form].argmax()) == self.label


def nearest_clips(classifier: Classifier, clips: EncodedClips, k: int = 1) -> tuple[Tensor, Tensor]:
    """For each prototype, numbers of the ``k`` nearest clips and their distances, both ``(prototype, k)``.

    Examples
    --------
    >>> numbers, distances = nearest_clips(model, clips)
    >>> numbers.shape
    torch.Size([6, 1])
    """
    distances = decide(prototype_network(classifier), clips)[1].T
    found = distances.topk(min(k, len(clips)), largest=False)
    return found.indices, found.values


def prototype_sounds(
    classifier: Classifier, clips: EncodedClips, ids: Sequence[str] | None = None, seed: int = 0
) -> list[PrototypeSound]:
    """Prototypes as sounds, scored as heard.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    clips : EncodedClips
        Training clips, of which the nearest is looked for.
    ids : sequence of str, optional
        Prototypes; by default all.
    seed : int
        Of the phases.

    Returns
    -------
    list of PrototypeSound

    Raises
    ------
    UnsupportedError
        If the network has no log-mel front end whose features can be brought back to a sound.

    Notes
    -----
    Source: zinemanas2021apnet, sec. 3.5, for decoding with the masks of the nearest clip; mel bands are inverted by other means
    (`otoscope.spectral.features_to_sound`).

    Examples
    --------
    >>> [sound.is_heard("real") for sound in prototype_sounds(model, clips)]
    [True, True, True, True, True, True]
    """
    network, names, classes = prototype_network(classifier), list_prototypes(classifier), owners(classifier)
    chosen = positions(classifier, ids) if ids is not None else list(range(len(names)))
    places, distances = nearest_clips(classifier, clips)
    found = []
    for i in chosen:
        clip = clips.examples[int(places[i, 0])]
        real = window(classifier, clip)
        decoded = decode(classifier, network.prototypes.maps[i].detach(), real, seed)
        with torch.no_grad():
            both = [classifier(torch.from_numpy(x)[None].to(classifier.device)) for x in (decoded, real)]
            scores = classifier.probabilities(torch.cat(both).float()).cpu().numpy()
        heard = dict(zip(FORMS, scores, strict=True))
        p = names[i]
        found.append(PrototypeSound(p.id, p.name, classes[i], decoded, real, clip, float(distances[i, 0]), heard))
    return found


def decode(classifier: Classifier, latent: Tensor, donor: np.ndarray, seed: int = 0) -> np.ndarray:
    """A latent map as a sound ``(time,)``, placed by the pooling masks of a sound; see `decode_latent`."""
    with torch.no_grad():
        features = classifier.features(torch.from_numpy(donor)[None].to(classifier.device)).to(classifier.dtype)
    return decode_latent(classifier, latent, features, seed=seed)


def write_prototype_sounds(
    classifier: Classifier, clips: EncodedClips, folder: str | os.PathLike[str], seed: int = 0
) -> list[dict[str, Any]]:
    """Write all prototypes as WAV files, ``ID-decoded.wav`` and ``ID-real.wav``, and what is known of them as ``prototypes.json``.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    clips : EncodedClips
        Training clips.
    folder : path
        Made if needed.
    seed : int
        Of the phases.

    Returns
    -------
    list of dict
        For each prototype ``id``, ``name``, ``votes_for``, ``clip``, ``distance``, and ``heard``: label and probability for
        ``decoded`` and ``real``.

    Raises
    ------
    WriteError, UnsupportedError

    Examples
    --------
    >>> rows = write_prototype_sounds(model, clips, "sounds")
    >>> rows[2]["votes_for"], rows[2]["heard"]["real"]["label"]
    ('low', 'low')
    """
    target, labels = make_folder(folder), classifier.labels
    rows = []
    for sound in prototype_sounds(classifier, clips, seed=seed):
        for form in FORMS:
            write_wav(target / f"{sound.id}-{form}.wav", getattr(sound, form)[None], classifier.sample_rate)
        heard = {form: {"label": labels[int(p.argmax())], "p": float(p.max())} for form, p in sound.heard.items()}
        rows.append({
            "id": sound.id, "name": sound.name, "votes_for": labels[sound.label], "clip": sound.clip.path.name,
            "distance": sound.distance, "heard": heard,
        })  # fmt: skip
    content = {
        "kind": KIND, "model": classifier.name, "weights": classifier.digest(), "sample_rate": classifier.sample_rate,
        "prototypes": rows,
        "note": "decoded: with the pooling masks of the nearest training clip, so details of that clip are in it",
    }  # fmt: skip
    write_text(target / "prototypes.json", json.dumps(content, indent=1) + "\n")
    return rows

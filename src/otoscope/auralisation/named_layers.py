"""Names of all features of several layers from one set of stimuli, kept in a folder; and beside those of another training."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from otoscope.audio import fit_length
from otoscope.auralisation.descriptors import describe_sounds, descriptor_bank
from otoscope.auralisation.naming import is_named, name_features
from otoscope.auralisation.responses import LayerResponses, layer_responses
from otoscope.auralisation.similarity import closest_features, drives
from otoscope.auralisation.stimuli import make_stimuli
from otoscope.classifiers import Classifier
from otoscope.classifiers.describe import describe_frontend
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import atomic_write, read_json, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.datasets.notes import Notes


class NamedLayers(NamedTuple):
    """What one set of stimuli says of the features of some layers.

    Parameters
    ----------
    stimuli : int
        Their number.
    names : dict of str to list of dict
        For each layer, a row for each feature: what `FeatureName` holds.
    drives : dict of str to dict
        For each layer what `drives` gives.
    strength : dict of str to ndarray (stimulus, feature)
        Responses.
    """

    stimuli: int
    names: dict[str, list[dict[str, Any]]]
    drives: dict[str, dict[str, Any]]
    strength: dict[str, np.ndarray]


def name_layers(
    classifier: Classifier,
    layers: Sequence[str],
    seed: int,
    keep: Path,
    notes: Notes | None = None,
    log: Callable[[str], object] = lambda _line: None,
) -> NamedLayers:
    """Names of the features of layers; read again where they were kept before.

    Parameters
    ----------
    classifier : Classifier
        It stays as it is.
    layers : sequence of str
        Dotted names of layers with maps over time.
    seed : int
        Of the stimuli.
    keep : path
        Of the files where they are kept, without a suffix.
    notes : Notes, optional
        Recorded notes among the stimuli.
    log : callable
        Called with a line when there is something to compute.
    """
    try:
        content = dict(read_json(keep.with_suffix(".json")))
        strength = dict(zip(layers, read_arrays(keep.with_suffix(".npz"), len(layers)), strict=True))
        return NamedLayers(content["stimuli"], content["names"], content["drives"], strength)
    except (OtoscopeError, KeyError):
        pass
    rate = classifier.sample_rate
    stimuli = make_stimuli(rate, seed, notes=notes)
    log(f"naming features of {classifier.name} by {len(stimuli)} stimuli (seed {seed})")
    bank = descriptor_bank(rate)
    described = describe_sounds([s.samples for s in stimuli], rate, bank)
    length = len(stimuli[0].samples)
    n = classifier.fitting_length(length)
    found = layer_responses(classifier, layers, [fit_length(s.samples[None], n)[0] for s in stimuli])
    names = {
        name: [asdict(f) for f in name_features(stimuli, _cut(r, length / n), described, bank, rate)]
        for name, r in found.items()
    }
    drive = {name: drives(stimuli, r.strength) for name, r in found.items()}
    plain: dict[str, Any] = to_jsonable({"stimuli": len(stimuli), "names": names, "drives": drive})
    write_arrays(keep.with_suffix(".npz"), [r.strength for r in found.values()])
    write_text(keep.with_suffix(".json"), json.dumps(plain) + "\n")
    return NamedLayers(plain["stimuli"], plain["names"], plain["drives"], {n: r.strength for n, r in found.items()})


def _cut(found: LayerResponses, share: float) -> LayerResponses:
    """Profiles over the stimulus alone, where the classifier takes no sound as short."""
    frames = max(1, round(found.profile.shape[2] * share))
    return LayerResponses(found.strength, found.profile[:, :, :frames])


def check_twin(classifier: Classifier, twin: Classifier, layers: Sequence[str]) -> None:
    """Refuse a twin that is not another training of the same network.

    Raises
    ------
    ParameterError
    """
    missing = [name for name in layers if name in classifier.layers() and name not in twin.layers()]
    shapes, others = ({n: tuple(t.shape) for n, t in c.network.state_dict().items()} for c in (classifier, twin))
    different = [name for name in {**shapes, **others} if shapes.get(name) != others.get(name)]
    frontends = [describe_frontend(c.frontend) for c in (classifier, twin)]
    why = ""
    if missing:
        why = f"has no layer {missing[0]!r}"
    elif twin.sample_rate != classifier.sample_rate:
        why = f"takes {twin.sample_rate} Hz, not {classifier.sample_rate}"
    elif different:
        name = different[0]
        why = f"has {others.get(name, 'no')} as the shape of {name}, not {shapes.get(name, 'none')}"
    elif frontends[0] != frontends[1]:
        why = f"hears through {frontends[1]}, not {frontends[0]}"
    if why:
        raise ParameterError(f"{twin.name!r} {why}; give another training of the network of {classifier.name!r}")
    if twin.digest() == classifier.digest():
        raise ParameterError(f"{twin.name!r} has the same weights as {classifier.name!r}; give another training of it")


def beside_twin(own: NamedLayers, other: NamedLayers, layer: str) -> list[dict[str, Any]]:
    """For each feature of a layer, its closest one in another training: number, correlation, name, whether that is the same."""
    numbers, correlations = closest_features(own.strength[layer], other.strength[layer])
    rows = []
    for mine, number, r in zip(own.names[layer], numbers.tolist(), correlations.tolist(), strict=True):
        name = other.names[layer][number]["name"]
        rows.append(
            {
                "number": number,
                "correlation": r,
                "name": name,
                "same": name == mine["name"] and is_named(name),
            }
        )
    return rows


def read_arrays(path: Path, count: int) -> list[np.ndarray]:
    """So many arrays that `write_arrays` wrote.

    Raises
    ------
    ParameterError
        If the file is not there or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            return [held[str(i)] for i in range(count)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ParameterError(f"{path} cannot be read: {error}") from error


def write_arrays(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write arrays, whole or not at all."""
    buffer = io.BytesIO()
    named: Mapping[str, Any] = {str(i): array for i, array in enumerate(arrays)}
    np.savez_compressed(buffer, **named)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getvalue())

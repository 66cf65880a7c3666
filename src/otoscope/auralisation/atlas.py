"""The atlas: every feature of a network's layers with a measured name, the clips that draw it, and what it responds to in them.

The work is done in parts that are written whole and kept: names, chunks of clips, sounds. The same command after a crash computes
only what is missing. All parts lie in ``parts/`` under the fingerprint of model, layers, clips and settings.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import encode
from otoscope.auralisation.auralise import Way, hear_feature
from otoscope.auralisation.clip_responses import ClipResponses, clip_responses
from otoscope.auralisation.descriptors import spectrogram
from otoscope.auralisation.named_layers import (
    NamedLayers,
    beside_twin,
    check_twin,
    name_layers,
    read_arrays,
    write_arrays,
)
from otoscope.auralisation.naming import NO_RESPONSE
from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_features import check_layers, layer_features
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.core.files import atomic_write, make_folder, read_json, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.records import Clip
from otoscope.datasets import Dataset, Example, waveform
from otoscope.datasets.notes import Notes

FILE, PARTS, SOUNDS, FORMAT = "atlas.json", "parts", "sounds", 2
CHUNK = 20  # clips in a part, features between two lines of progress
STRETCH_S = 1.0
ROWS, COLUMNS = 24, 48  # of a small picture
Log = Callable[[str], object]


def make_atlas(
    classifier: Classifier,
    data: Dataset | Sequence[Example],
    out: str | os.PathLike[str],
    layers: Sequence[str] = (),
    seed: int = 0,
    log: Log = lambda _line: None,
    *,
    notes: Notes | None = None,
    twin: Classifier | None = None,
) -> dict[str, Any]:
    """Make the atlas of a classifier's layers, or finish one that was begun.

    Parameters
    ----------
    classifier : Classifier
        Any classifier with layers that have maps over time; it stays as it is.
    data : Dataset or sequence of Example
        Clips in which features are heard; of one that is longer than the classifier takes at once, the first window.
    out : path
        Folder: ``atlas.json``, ``atlas.html``, ``sounds/`` and ``parts/``.
    layers : sequence of str
        Dotted names; by default `default_layers`.
    seed : int
        Of the stimuli; names are checked with the next one.
    log : callable
        Called with lines of progress.
    notes : Notes, optional
        Recorded notes of instruments, which are then among the stimuli.
    twin : Classifier, optional
        Another training of the same network: each feature is shown beside its closest one there.

    Returns
    -------
    dict
        What ``atlas.json`` holds.

    Raises
    ------
    UnknownNameError, UnsupportedError
        For layers that are not there or have no maps over time.
    ParameterError
        For a twin that is not another training of the same network.
    OtoscopeError
        If there are no clips, a file cannot be read, or the folder cannot be written.

    Examples
    --------
    >>> atlas = make_atlas(model, data, "atlas", ["block1"])
    >>> len(atlas["layers"][0]["features"])
    8
    """
    examples = tuple(data.examples if isinstance(data, Dataset) else data)
    if not examples:
        raise ParameterError("there are no clips; choose other folds, or another data set")
    names = list(layers) or default_layers(classifier)
    if twin is not None:
        check_twin(classifier, twin, names)
    work = _Work(classifier, examples, names, make_folder(out), notes, log)
    work.open_layers()
    named, again = work.names(classifier, seed), work.names(classifier, seed + 1)
    other = work.names(twin, seed) if twin is not None else None
    clips = work.clips()
    rows = [work.layer(name, named, again.names[name], clips, other) for name in names]
    content = {
        "format": FORMAT, "kind": "otoscope atlas", "model": {"name": classifier.name, "sha256": classifier.digest()},
        "sample_rate": classifier.sample_rate, "clips": len(examples), "stimuli": named.stimuli, "seed": seed,
        "notes": notes is not None, "twin": None if twin is None else {"name": twin.name, "sha256": twin.digest()}, "layers": rows,
    }  # fmt: skip
    plain: dict[str, Any] = to_jsonable(content)
    write_text(Path(out) / FILE, json.dumps(plain, indent=1) + "\n")
    registry.get("view", "atlas").target(plain, Path(out) / "atlas.html")
    return plain


def default_layers(classifier: Classifier) -> list[str]:
    """The layers that an atlas shows by default: those whose axes are declared, or the parts of these.

    Raises
    ------
    UnsupportedError
        If no layer's axes are declared.

    Examples
    --------
    >>> default_layers(build("vgg5", 2))
    ['block1', 'block2', 'block3', 'block4', 'block5']
    """
    check_layers(classifier)
    known, found = list(classifier.layers()), list[str]()
    for name in classifier.axes:
        parts = [n for n in known if n.startswith(f"{name}.") and n[len(name) + 1 :].isdecimal()]
        found += parts or ([name] if name in known else [])
    if not found and classifier.cam_layer:
        found = [classifier.cam_layer]
    if not found:
        raise UnsupportedError(
            f"the axes of no layer of {classifier.name!r} are declared; name layers with maps over time (--layer)"
        )
    return list(dict.fromkeys(found))


class _Work:
    """What is being made, part by part."""

    def __init__(
        self,
        classifier: Classifier,
        examples: tuple[Example, ...],
        layers: list[str],
        out: Path,
        notes: Notes | None,
        log: Log,
    ):
        self.classifier, self.examples, self.layers, self.notes, self.log = classifier, examples, layers, notes, log
        self.out, self.parts, self.sounds = out, make_folder(out / PARTS), make_folder(out / SOUNDS)
        self.mark = self._mark(classifier, [[_content(e.path), e.start_s, e.stop_s] for e in examples])
        self.heard: dict[str, Classifier] = {}

    def _mark(self, classifier: Classifier, more: object) -> str:
        """A name for parts that depend on a classifier, the layers and what else is given."""
        said = [classifier.digest(), classifier.sample_rate, self.layers, more, FORMAT]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]

    def open_layers(self) -> None:
        """The layers' features as classes; a layer that has none is refused before anything is computed."""
        for name in self.layers:
            self.heard[name] = layer_features(self.classifier, name)

    # --- names --------------------------------------------------------------------------------------------------------

    def names(self, classifier: Classifier, seed: int) -> NamedLayers:
        """Names of all features of a classifier, from one seed of the stimuli."""
        mark = self._mark(classifier, self.notes.digest if self.notes else None)
        return name_layers(classifier, self.layers, seed, self.parts / f"names-{mark}-{seed}", self.notes, self.log)

    # --- clips --------------------------------------------------------------------------------------------------------

    def clips(self) -> dict[str, ClipResponses]:
        """Responses to all clips, chunk by chunk."""
        chunks = []
        for start in range(0, len(self.examples), CHUNK):
            path = self.parts / f"clips-{self.mark}-{start}.npz"
            chunk = _read_chunk(path, self.layers)
            if chunk is None:
                chunk = clip_responses(self.classifier, self.layers, self.examples[start : start + CHUNK])
                write_arrays(path, [part for one in chunk.values() for part in one])
            chunks.append(chunk)
            self.log(f"{min(start + CHUNK, len(self.examples))} of {len(self.examples)} clips")
        return {n: ClipResponses(*(np.concatenate([c[n][k] for c in chunks]) for k in range(3))) for n in self.layers}

    # --- features -----------------------------------------------------------------------------------------------------

    def layer(
        self,
        name: str,
        named: NamedLayers,
        again: list[dict[str, Any]],
        clips: dict[str, ClipResponses],
        twin: NamedLayers | None,
    ) -> dict[str, Any]:
        """One layer's features, with sounds."""
        rows = named.names[name]
        self.log(f"hearing {len(rows)} features of {name}")
        features = []
        for k, row in enumerate(rows):
            if k and k % CHUNK == 0:
                self.log(f"{k} of {len(rows)} features of {name}")
            features.append(self._feature(name, k, row, again[k]["name"], clips[name]))
        if twin is not None:
            for row, beside in zip(features, beside_twin(named, twin, name), strict=True):
                row["closest"] = beside
        return {"name": name, "features": features, "drives": named.drives[name]}

    def _feature(
        self, layer: str, number: int, facts: dict[str, Any], second: str, clips: ClipResponses
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"number": number, **facts, "stable": facts["name"] == second, "clips": []}
        if facts["name"] == NO_RESPONSE and float(clips.strength[:, number].max()) <= 0:
            return row
        asked = {
            "activation": int(clips.strength[:, number].argmax()),
            "relevance": int(clips.relevance[:, number].argmax()),
        }
        if not np.isfinite(clips.relevance[:, number]).all():
            del asked["relevance"]
        for why, clip in asked.items():
            if why == "relevance" and clip == asked["activation"]:
                row["clips"][0]["why"] = "activation and relevance"
                continue
            stretch = self._stretch(layer, number, clip, float(clips.peak_s[clip, number]))
            row["clips"].append({"why": why, "place": clip, "strength": float(clips.strength[clip, number]), **stretch})
        return row

    def _stretch(self, layer: str, number: int, clip: int, peak_s: float) -> dict[str, Any]:
        """The second around the strongest response, as it is and auralised; read again where it was written before."""
        stem = f"{self.mark}-{self.layers.index(layer)}-{number}-{clip}"
        path = self.parts / f"sound-{stem}.json"
        files = [f"{stem}-{part}.ogg" for part in ("original", "heard")]
        try:
            row = dict(read_json(path))
            if all((self.out / row[part]).is_file() for part in ("original", "heard") if part in row):
                return row
        except OtoscopeError:
            pass
        example, rate = self.examples[clip], self.classifier.sample_rate
        whole = waveform(example, rate)
        start = int(np.clip(round((peak_s - STRETCH_S / 2) * rate), 0, max(0, len(whole) - round(STRETCH_S * rate))))
        stretch = Clip(
            np.array(whole[start : start + round(STRETCH_S * rate)], np.float32)[None], rate, example.path.name
        )
        row = {"clip": example.path.name, "label": example.label, "start_s": start / rate}
        row["original"] = self._write(files[0], stretch)
        found = hear_feature(self.heard[layer], stretch, number, Way())
        if found.explanation is not None and found.measures is not None:
            row |= {
                "heard": self._write(files[1], found.explanation.kept),
                **asdict(found.measures),
            }
            row["picture"] = _picture(found.explanation.kept)
        plain: dict[str, Any] = to_jsonable(row)
        write_text(path, json.dumps(plain) + "\n")
        return plain

    def _write(self, name: str, sound: Clip) -> str:
        with atomic_write(self.sounds / name) as part:
            part.write_bytes(encode(sound.samples.mean(0, keepdims=True), sound.sample_rate, "OGG")[0])
        return f"{SOUNDS}/{name}"


def _content(file: Path) -> list[Any]:
    """Name, size and the checksum of the first megabyte of a file."""
    try:
        with file.open("rb") as content:
            return [file.name, file.stat().st_size, hashlib.sha256(content.read(1 << 20)).hexdigest()]
    except OSError:
        return [file.name]  # reading the clip will say why


def _read_chunk(path: Path, layers: Sequence[str]) -> dict[str, ClipResponses] | None:
    try:
        parts = read_arrays(path, 3 * len(layers))
    except OtoscopeError:
        return None
    return {name: ClipResponses(*parts[3 * i : 3 * i + 3]) for i, name in enumerate(layers)}


def _picture(sound: Clip) -> dict[str, Any]:
    """A spectrogram of 24 bands (low ones last) by 48 moments, 0 to 255 over 60 dB."""
    level = 20 * np.log10(np.maximum(spectrogram(sound.samples.mean(0), sound.sample_rate), 1e-6))
    edges = np.geomspace(60, sound.sample_rate / 2, ROWS + 1) / (sound.sample_rate / 2) * len(level)
    bands = [level[int(a) : max(int(b), int(a) + 1)].max(0) for a, b in itertools.pairwise(edges)]
    moments = np.linspace(0, level.shape[1], COLUMNS + 1)
    small = np.stack(
        [np.stack(bands)[:, int(a) : max(int(b), int(a) + 1)].max(1) for a, b in itertools.pairwise(moments)], 1
    )
    scaled = np.clip((small - small.max()) / 60 + 1, 0, 1) * 255
    return {"rows": ROWS, "columns": COLUMNS, "values": scaled.astype(int)[::-1].ravel().tolist()}

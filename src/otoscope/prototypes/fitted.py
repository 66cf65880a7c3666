"""Prototypes of any frozen classifier: stretches of real clips, which can be heard, compared with other clips, and deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from otoscope.audio import load_audio, write_wav
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import LayerCells
from otoscope.classifiers.prototype_space import (
    FILE,
    FORMAT,
    KIND,
    TENSORS,
    PrototypeSpace,
    most_probable,
    only_heard,
    read_space,
)
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError, UnknownNameError
from otoscope.core.files import atomic_write, make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.prototypes.layer_clips import Box, LayerClip, longest, record_waveforms


@dataclass(frozen=True, eq=False)
class FittedPrototype:
    """One prototype: a stretch of a clip.

    Parameters
    ----------
    id : str
        Its identity, such as ``p7``: it stays when others are deleted.
    name : str
        Its class, and a number.
    label : int
        The class that it votes for.
    clip : str
        File name of the clip that it is a part of; empty for a centre, which is no sound.
    box : Box, optional
        Where it lies in that clip.
    sound : ndarray (channel, time), optional
        What is heard there, at the clip's own rate.
    sample_rate : int, Hz
        Of the sound; 0 without one.

    Examples
    --------
    >>> FittedPrototype("p1", "dog 1", 0, "bark.wav", Box(0.5, 1.0)).box.stop_s
    1.0
    """

    id: str
    name: str
    label: int
    clip: str = ""
    box: Box | None = None
    sound: np.ndarray | None = None
    sample_rate: int = 0


@dataclass(frozen=True, eq=False)
class Match:
    """How a clip is like the prototypes.

    Parameters
    ----------
    similarity : ndarray (prototype,)
        At the place where the clip is most like it, in [-1, 1]; see `PrototypeSpace`.
    share : ndarray (prototype,)
        Of the vote; the sum is 1.
    boxes : tuple of Box
        That place, for each prototype.
    votes : ndarray (class,)
        Sums of shares.
    probabilities : ndarray (class,)
        What the classifier gives, which no prototype changes.
    predicted : int
        The classifier's class: the most probable one of those to which the prototypes were fitted.

    Examples
    --------
    >>> match = fit_prototypes(model, data, per_class=1).match(model, np.zeros(2048))
    >>> match.share.shape, len(match.boxes)
    ((3,), 3)
    """

    similarity: np.ndarray
    share: np.ndarray
    boxes: tuple[Box, ...]
    votes: np.ndarray
    probabilities: np.ndarray
    predicted: int

    @property
    def nearest(self) -> int:
        """Number of the prototype with the largest share."""
        return int(self.share.argmax())

    @property
    def voted(self) -> int | None:
        """The class that the prototypes vote for; None without any."""
        return int(self.votes.argmax()) if len(self.share) else None

    @property
    def explained(self) -> bool:
        """Whether the vote is the classifier's decision."""
        return self.voted == self.predicted


@dataclass(frozen=True, eq=False)
class FittedPrototypes:
    """Prototypes of one frozen classifier; see `fit_prototypes`.

    Parameters
    ----------
    prototypes : tuple of FittedPrototype
        What they are.
    space : PrototypeSpace
        Their vectors, and how clips are compared with them.
    facts : mapping
        How they were fitted: method, data set, clips, classes without prototypes.

    Examples
    --------
    >>> fitted = fit_prototypes(model, data, per_class=1)
    >>> [p.name for p in fitted.without(["p2"]).prototypes]
    ['high 1', 'middle 1']
    """

    prototypes: tuple[FittedPrototype, ...]
    space: PrototypeSpace
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prototypes)

    def numbers(self, ids: Sequence[str]) -> list[int]:
        """Numbers of prototypes by their identities.

        Raises
        ------
        UnknownNameError
        """
        known = [p.id for p in self.prototypes]
        if isinstance(ids, str):
            raise ParameterError(f"give identities as a list; got {ids!r}")
        for one in ids:
            if one not in known:
                raise UnknownNameError("prototype", one, known)
        return [known.index(one) for one in ids]

    def without(self, ids: Sequence[str]) -> FittedPrototypes:
        """The record without some prototypes; a class may be left without any.

        Raises
        ------
        UnknownNameError
        """
        gone = set(self.numbers(ids))
        kept = [i for i in range(len(self)) if i not in gone]
        space = replace(self.space, vectors=self.space.vectors[kept], classes=self.space.classes[kept])
        return replace(self, prototypes=tuple(self.prototypes[i] for i in kept), space=space)

    def match(self, classifier: Classifier, waveform: np.ndarray | Tensor) -> Match:
        """How a sound is like the prototypes, in one forward pass.

        Parameters
        ----------
        classifier : Classifier
            That of the prototypes.
        waveform : ndarray or Tensor (time,)
            At the classifier's rate; of a longer one than it takes, the first window.

        Raises
        ------
        ParameterError
            For another classifier.
        """
        self.space.check(classifier)
        given = np.array(waveform.detach().cpu() if isinstance(waveform, Tensor) else waveform, np.float32)
        if given.ndim != 1 or not len(given):
            raise ShapeError(f"match takes one waveform (time,); got shape {given.shape}")
        (clip,) = record_waveforms(classifier, given[None, : longest(classifier)], self.space.layer)
        return self.match_clip(clip)

    def match_clip(self, clip: LayerClip) -> Match:
        """As `match`, of a clip whose map is there already."""
        space = self.space
        width = clip.cells.frames(space.window_s)
        places = space.similarity(clip.map[None], width)[0]  # (prototype, row, column)
        similarity = only_heard(space, places, clip.cells, clip.waveform, width)
        columns = similarity.shape[2]
        best = similarity.flatten(1).max(1) if len(self) else None
        at = best.indices.tolist() if best is not None else []
        values = best.values if best is not None else similarity.new_zeros(0)
        share = space.shares(values)
        boxes = tuple(place_box(clip.cells, space.parts, divmod(i, columns), width) for i in at)
        votes, probabilities = space.votes(share).numpy(), clip.probabilities.numpy()
        return Match(values.numpy(), share.numpy(), boxes, votes, probabilities, self.predicted(clip))

    def predicted(self, clip: LayerClip) -> int:
        """The classifier's class of a clip: the most probable one of those to which the prototypes were fitted."""
        return most_probable(clip.probabilities, self.space.among)[0]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``prototypes.json``, ``prototypes.safetensors`` and a WAV file for each prototype; `load_fitted` reads them.

        Raises
        ------
        WriteError
        """
        from safetensors.torch import save_file

        target, space = make_folder(folder), self.space
        rows = []
        for p in self.prototypes:
            row: dict[str, Any] = {
                "id": p.id,
                "name": p.name,
                "class": p.label,
                "label": space.labels[p.label],
                "clip": p.clip,
            }
            row |= {} if p.box is None else vars(p.box)
            if p.sound is not None:
                row["file"] = f"{p.id}.wav"
                write_wav(target / row["file"], p.sound, p.sample_rate)
            rows.append(row)
        with atomic_write(target / TENSORS) as part:
            tensors = {"vectors": space.vectors, "mean": space.mean}
            save_file({k: v.float().cpu().contiguous() for k, v in tensors.items()}, str(part))
        about = {"name": space.name, "digest": space.digest, "sample_rate": space.sample_rate, "labels": space.labels}
        content = {
            "format": FORMAT, "kind": KIND, "classifier": about, "layer": space.layer, "parts": space.parts,
            "window_s": space.window_s, "temperature": space.temperature, "radius": space.radius,
            "among": [space.labels[i] for i in space.among], "facts": dict(self.facts), "prototypes": rows,
        }  # fmt: skip
        write_text(target / FILE, json.dumps(to_jsonable(content), indent=1) + "\n")
        return target


def load_fitted(folder: str | os.PathLike[str], classifier: Classifier | None = None) -> FittedPrototypes:
    """Prototypes from a folder that `FittedPrototypes.save` wrote.

    Parameters
    ----------
    folder : path
        The folder.
    classifier : Classifier, optional
        Refused if the prototypes are of another one.

    Raises
    ------
    OtoscopeError
        If a file is missing or damaged, of a later version, or of another classifier.

    Examples
    --------
    >>> folder = fit_prototypes(model, data, per_class=1).save("tones-prototypes")
    >>> load_fitted(folder, model).prototypes[1].name
    'low 1'
    """
    space, content = read_space(Path(folder))
    if classifier is not None:
        space.check(classifier)
    try:
        found = tuple(_read_prototype(Path(folder), row) for row in content["prototypes"])
        facts = dict(content.get("facts", {}))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, OtoscopeError):
            raise
        raise OtoscopeError(
            f"{Path(folder) / FILE} is damaged ({type(error).__name__}: {error}); fit the prototypes again"
        ) from error
    return FittedPrototypes(found, space, facts)


def _read_prototype(folder: Path, row: Mapping[str, Any]) -> FittedPrototype:
    box = None
    if "start_s" in row:
        box = Box(*(float(row[key]) for key in ("start_s", "stop_s", "low_hz", "high_hz")))
    sound = load_audio(folder / Path(row["file"]).name) if row.get("file") else None
    return FittedPrototype(
        str(row["id"]), str(row["name"]), int(row["class"]), str(row["clip"]), box,
        None if sound is None else sound.samples, 0 if sound is None else sound.sample_rate,
    )  # fmt: skip


def place_box(cells: LayerCells, parts: str, at: tuple[int, int], width: int) -> Box:
    """Where the place in a row and a column of places lies."""
    row, column = at
    seconds, hz = cells.edges_s, cells.edges_hz
    start, stop = (column, column + width) if parts in ("time", "both") else (0, len(seconds) - 1)
    low, high = (row, row + 1) if parts in ("frequency", "both") else (0, len(hz) - 1)
    return Box(float(seconds[start]), float(seconds[stop]), float(hz[low]), float(hz[high]))


def lost_explanations(
    fitted: FittedPrototypes, clips: Sequence[LayerClip], before: FittedPrototypes | None = None
) -> list[LayerClip]:
    """Clips whose prototypes do not vote as the classifier decides.

    Parameters
    ----------
    fitted : FittedPrototypes
        Such as what `FittedPrototypes.without` gives.
    clips : sequence of LayerClip
        What `record_clips` gives.
    before : FittedPrototypes, optional
        Only clips whose decision these explained.

    Examples
    --------
    >>> fitted, recorded = fit_prototypes(model, data, per_class=1), record_clips(model, data)
    >>> {model.labels[c.predicted] for c in lost_explanations(fitted.without(["p2"]), recorded, fitted)}
    {'low'}
    """
    lost = [clip for clip in clips if not fitted.match_clip(clip).explained]
    return lost if before is None else [clip for clip in lost if before.match_clip(clip).explained]

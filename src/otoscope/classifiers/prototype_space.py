"""Prototypes as vectors in the space of one layer of a classifier, and how alike the places of a map are to them.

A place is a part of a map: a window of frames, a band, or both; its vector is the mean of its cells. Vectors are seen from the mean
of all places of the training clips. Similarity is the cosine of the angle between two of them, less where one of them is near that
mean and so says little. Maps are ``(batch, channel, freq, frame)``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import LayerCells
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import read_json

Parts = Literal["clip", "time", "frequency", "both"]
PARTS: tuple[Parts, ...] = ("clip", "time", "frequency", "both")
FILE, TENSORS, KIND, FORMAT = "prototypes.json", "prototypes.safetensors", "otoscope fitted prototypes", 1
SILENCE = 1e-9  # mean square: -90 dB re full scale
QUIET = 1e-4  # of the loudest frame of a clip: -40 dB
KEYS: Mapping[str, type | tuple[type, ...]] = {
    "classifier": dict, "layer": str, "parts": str, "window_s": (int, float), "temperature": (int, float),
    "radius": (int, float), "prototypes": list,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PrototypeSpace:
    """Vectors of prototypes, and how places are compared with them.

    Parameters
    ----------
    vectors : Tensor (prototype, channel)
        In the layer's own units.
    classes : Tensor (prototype,), int64
        The class that each votes for.
    mean : Tensor (channel,)
        Of the places of the training clips: the point from which angles are measured.
    radius : float, at least 0
        Distance from the mean at which a place counts half.
    layer : str
        Dotted name of the layer.
    parts : {"clip", "time", "frequency", "both"}
        What a place is: the whole map, a window of frames, a band, or a window of a band.
    window_s : float, s
        Length of a window.
    temperature : float
        Of the vote: a softmax over similarities divided by it.
    digest, name : str
        Of the classifier.
    labels : tuple of str
        Of the classifier.
    sample_rate : int, Hz
        Of the classifier.
    among : tuple of int
        The classes between which the classifier is taken to decide; empty for all.
    """

    vectors: Tensor
    classes: Tensor
    mean: Tensor
    radius: float
    layer: str
    parts: str
    window_s: float
    temperature: float
    digest: str
    name: str
    labels: tuple[str, ...]
    sample_rate: int
    among: tuple[int, ...] = ()

    def check(self, classifier: Classifier) -> None:
        """Refuse another classifier than that of the prototypes.

        Raises
        ------
        ParameterError
        """
        same = (classifier.digest(), classifier.labels, classifier.sample_rate)
        if same != (self.digest, self.labels, self.sample_rate):
            raise ParameterError(
                f"the prototypes are of another classifier ({self.name!r}, weights {self.digest[:12]}); got {classifier.name!r} "
                f"with weights {classifier.digest()[:12]}; give that classifier, or fit prototypes of this one"
            )

    def similarity(self, maps: Tensor, width: int) -> Tensor:
        """Similarity of the prototypes and the places of maps, ``(batch, prototype, row, column)`` in [-1, 1]."""
        places = pool(maps, self.parts, width).float()
        own = shrink(places.movedim(1, -1) - self.mean.to(places.device), self.radius)
        return torch.einsum("brkc,nc->bnrk", own, shrink(self.vectors - self.mean, self.radius).to(places.device))

    def shares(self, similarity: Tensor) -> Tensor:
        """Shares of the prototypes ``(..., prototype)`` in the vote of clips whose best similarities these are."""
        return (similarity / self.temperature).softmax(-1)

    def votes(self, shares: Tensor) -> Tensor:
        """Sums of shares for each class, ``(..., class)``."""
        out = shares.new_zeros(*shares.shape[:-1], len(self.labels))
        return out.index_add_(-1, self.classes.to(shares.device), shares)


def most_probable(probabilities: Tensor, among: Sequence[int], top: int = 1) -> list[int]:
    """The most probable classes of ``(class,)``, among some or, if these are empty, all; the first is the decision.

    Examples
    --------
    >>> most_probable(torch.tensor([0.7, 0.1, 0.2]), (), 2), most_probable(torch.tensor([0.7, 0.1, 0.2]), (1, 2))
    ([0, 2], [2])
    """
    numbers = torch.tensor(among or range(len(probabilities)))
    own = probabilities.cpu()[numbers]
    found: list[int] = numbers[own.topk(min(top, len(own))).indices].tolist()
    return found


def pool(maps: Tensor, parts: str, width: int) -> Tensor:
    """Vectors of the places of maps, ``(batch, channel, row, column)``; a place has ``width`` frames.

    Maps without frequencies, ``(batch, channel, frame)``, have one row.

    Examples
    --------
    >>> pool(torch.zeros(2, 8, 4, 16), "time", 3).shape, pool(torch.zeros(2, 8, 4, 16), "both", 3).shape
    (torch.Size([2, 8, 1, 14]), torch.Size([2, 8, 4, 14]))
    """
    maps = maps[:, :, None] if maps.ndim == 3 else maps
    if parts in ("clip", "time"):
        maps = maps.mean(2, keepdim=True)
    if parts in ("clip", "frequency"):
        return maps.mean(3, keepdim=True)
    return torch.nn.functional.avg_pool2d(maps, (1, min(width, maps.shape[3])), 1)


def spread(values: Tensor, shape: tuple[int, int], width: int) -> Tensor:
    """Values of places ``(batch, row, column)`` on cells ``(batch, freq, frame)``: means over the places that a cell is part of."""
    rows, frames = shape
    values = values.expand(-1, rows, -1)
    n = values.shape[2]
    if n == 1:
        return values.expand(-1, -1, frames)
    kernel = values.new_ones(1, 1, width)
    total = torch.nn.functional.conv_transpose1d(values.reshape(-1, 1, n), kernel)
    count = torch.nn.functional.conv_transpose1d(values.new_ones(1, 1, n), kernel)
    return (total / count).reshape(len(values), rows, frames)


def shrink(vectors: Tensor, radius: float) -> Tensor:
    """Vectors ``(..., channel)`` of lengths below 1: 1/2 for those whose length is the radius; zeros stay."""
    return vectors / (vectors.norm(dim=-1, keepdim=True) + max(radius, 1e-12))


def audible(cells: LayerCells, waveform: np.ndarray, sample_rate: int, parts: str, width: int) -> np.ndarray:
    """Whether each column of places holds sound, ``(column,)``: none if the whole clip is silent.

    A place is silent below -90 dB re full scale, or 40 dB below the loudest frame of the clip.
    """
    loudest = cells.levels(waveform, sample_rate).max()
    n = len(cells.edges_s) - 1
    levels = cells.levels(waveform, sample_rate, width if parts in ("time", "both") else n)
    if parts in ("clip", "frequency"):  # of which a part may be silent
        return levels > SILENCE
    return (levels > SILENCE) & (levels > QUIET * loudest)


def best_heard(space: PrototypeSpace, places: Tensor, cells: LayerCells, waveform: np.ndarray, width: int) -> Tensor:
    """Largest similarities ``(prototype,)`` over places ``(prototype, row, column)`` at which there is sound."""
    return only_heard(space, places, cells, waveform, width).flatten(1).amax(1)


def only_heard(space: PrototypeSpace, places: Tensor, cells: LayerCells, waveform: np.ndarray, width: int) -> Tensor:
    """Similarities ``(prototype, row, column)``, below all others (-2) where there is no sound; as they are in silence."""
    heard = torch.from_numpy(audible(cells, waveform, space.sample_rate, space.parts, width)).to(places.device)
    return places.masked_fill(~heard, -2.0) if heard.any() else places


def read_space(folder: str | Path) -> tuple[PrototypeSpace, dict[str, Any]]:
    """The vectors in a folder of prototypes, and all that its file says.

    Raises
    ------
    OtoscopeError
        If a file is missing or damaged, or of a later version.
    """
    path = Path(folder) / FILE
    advice = "give a folder that `fit_prototypes(...).save(folder)` wrote"
    content = read_json(path, "the prototypes", advice)
    if content.get("kind") != KIND:
        raise OtoscopeError(f"{path} holds no fitted prototypes; {advice}")
    version = content.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise OtoscopeError(
            f"{path} has format {version!r}, and this version of Otoscope reads formats up to {FORMAT}; update Otoscope"
        )
    try:
        wrong = [key for key, kind in KEYS.items() if not isinstance(content[key], kind)]
        about, tensors = content["classifier"], _tensors(Path(folder) / TENSORS)
        space = PrototypeSpace(
            tensors["vectors"].float(),
            torch.tensor([operator.index(row["class"]) for row in content["prototypes"]], dtype=torch.int64),
            tensors["mean"].float(), float(content["radius"]),
            content["layer"], content["parts"], float(content["window_s"]), float(content["temperature"]),
            str(about["digest"]), str(about["name"]), tuple(map(str, about["labels"])), int(about["sample_rate"]),
            tuple(about["labels"].index(name) for name in content.get("among", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise OtoscopeError(f"{path} is damaged ({type(error).__name__}: {error}); fit the prototypes again") from error
    if wrong or not _fits(space):
        raise OtoscopeError(f"{path} and {TENSORS} do not fit together; fit the prototypes again")
    return space, content


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(str(path))
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise OtoscopeError(f"cannot read {path} ({reason}); fit the prototypes again") from error
    return found


def _fits(space: PrototypeSpace) -> bool:
    n = len(space.classes)
    return (
        space.vectors.ndim == 2
        and space.vectors.shape == (n, *space.mean.shape)
        and bool(torch.isfinite(space.vectors).all() and torch.isfinite(space.mean).all())
        and space.parts in PARTS
        and 1e-6 <= space.temperature <= 1e6
        and 0 <= space.radius < math.inf
        and 0 < space.window_s <= 3600
        and bool(((space.classes >= 0) & (space.classes < len(space.labels))).all())
    )

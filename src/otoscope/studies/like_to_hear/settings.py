"""The recipe of a like-to-hear study: who listens, which autoencoders are tuned to whom, and what is measured."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.recipes.read import build_settings, read_content
from otoscope.training.settings import CHOICES, DataSettings

GROUPS = ("main", "switched", "trained")


@dataclass(frozen=True)
class ClassifierEntry:
    """One classifier: ready, to be trained first, or another one with parts switched off.

    Parameters
    ----------
    model : str
        Any classifier, by name or folder.
    train : tuple of str
        Recipes to train it by, if it is not there yet, relative to the study's recipe.
    teacher : str
        Another classifier of the study that its recipe is taught by.
    of : str
        Another classifier of the study, of which the parts ``without`` are switched off.
    without : tuple of str
        Parts of a DyMN.
    set : tuple of str
        ``key=value`` on top of its recipe; with ``model``, ``weights=FILE``.
    title : str
        For tables and pages.
    group : {"main", "switched", "trained"}
        Ablations are in the last two: by a switch on a trained network, or trained without the part.
    """

    model: str = ""
    train: tuple[str, ...] = ()
    teacher: str = ""
    of: str = ""
    without: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    title: str = ""
    group: str = "main"


@dataclass(frozen=True)
class StartEntry:
    """A starting point.

    Parameters
    ----------
    title : str
        For tables and pages.
    set : tuple of str
        ``key=value`` on top of the recipe of tunings that begin here.
    """

    title: str = ""
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class TuneEntry:
    """Which autoencoders are tuned.

    Parameters
    ----------
    control : tuple of str
        Recipes of the autoencoder that is trained by MSE alone.
    recipe : tuple of str
        Recipes of a tuning.
    starts : mapping of str to StartEntry
        By name: ``control`` starts from the control, ``random`` from random weights, others
        from what ``archisound`` and the like name.
    to : mapping of str to list of str
        Classifier -> the starting points that are tuned to it.
    set : tuple of str
        ``key=value`` on top of both recipes.
    """

    control: tuple[str, ...] = ("pretrain.yaml",)
    recipe: tuple[str, ...] = ("tune.yaml",)
    starts: dict[str, StartEntry] = field(default_factory=lambda: {"control": StartEntry("pre-trained by MSE")})
    to: dict[str, Any] = field(default_factory=dict)
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrequencySettings:
    """Which frequencies are taken away.

    Parameters
    ----------
    edges_hz : tuple of float, Hz
        Edges of the bands that are removed, or kept alone; a last band reaches from the last edge to the top of the sounds.
    cutoffs_hz : tuple of float, Hz
        Cut-offs of low-pass and high-pass filters.
    classifiers : tuple of str
        Whom is asked; empty for those of the group main.
    """

    edges_hz: tuple[float, ...] = (0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
    cutoffs_hz: tuple[float, ...] = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListenSettings:
    """What can be heard on the listening page.

    Parameters
    ----------
    clips : tuple of str
        Files of the test folds, or numbers in their order; empty for the first of each class.
    groups : tuple of {"main", "switched", "trained"}
        Autoencoders tuned to classifiers of these groups.
    """

    clips: tuple[int | str, ...] = ()
    groups: tuple[str, ...] = ("main",)


@dataclass(frozen=True)
class LikeToHearRecipe:
    """All settings of a like-to-hear study.

    Parameters
    ----------
    name : str
    title : str
        For tables and pages.
    seed : int
        Of resampling clips for intervals; trainings have their own.
    threads : int
        Of the processor; 0 leaves torch's choice.
    out : str
        Folder of the results; empty for ``runs/NAME``.
    batch_size : int
        Clips that are measured together.
    data : DataSettings
        For all trainings too.
    classifiers : mapping of str to ClassifierEntry
        By name, those that build on others after these.
    tune : TuneEntry
    frequencies : FrequencySettings
    listen : ListenSettings
    """

    name: str = "like-to-hear"
    title: str = "What networks like to hear"
    seed: int = 0
    threads: int = 0
    out: str = ""
    batch_size: int = 8
    data: DataSettings = field(default_factory=DataSettings)
    classifiers: dict[str, ClassifierEntry] = field(default_factory=dict)
    tune: TuneEntry = field(default_factory=TuneEntry)
    frequencies: FrequencySettings = field(default_factory=FrequencySettings)
    listen: ListenSettings = field(default_factory=ListenSettings)
    folder: str = ""

    def identity(self) -> dict[str, Any]:
        """What makes it this study and no other: all but how it is run."""
        plain = dataclasses.asdict(self)
        for key in ("out", "threads", "folder", "batch_size"):
            del plain[key]
        del plain["data"]["workers"]
        return plain

    def main(self) -> list[str]:
        """Names of the classifiers of the group main."""
        return [name for name, entry in self.classifiers.items() if entry.group == "main"]


def load_like_to_hear(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], overrides: Sequence[str] = ()
) -> LikeToHearRecipe:
    """Read the recipe of a study; recipes and overrides lie on top of one another as in `otoscope.training.load_recipe`.

    Raises
    ------
    OtoscopeError
        If a file is missing, a setting unknown or out of range, or a name does not exist in the study.
    """
    content = read_content(path, overrides)
    first = Path(path) if isinstance(path, str | os.PathLike) else Path(next(iter(path)))
    content["folder"] = str(first.resolve().parent)
    recipe: LikeToHearRecipe = build_settings(LikeToHearRecipe, content)
    for check in (_check_plainly, _check_classifiers, _check_tuning, _check_frequencies):
        check(recipe)
    return dataclasses.replace(recipe, out=recipe.out or f"runs/{recipe.name}")


def _known(what: str, name: str, names: Any) -> None:
    if name not in names:
        raise UnknownNameError(what, name, list(names))


def _check_plainly(recipe: LikeToHearRecipe) -> None:
    if not re.fullmatch(r"[\w][\w .-]*", recipe.name):
        raise ParameterError(f"name must be a file's name of letters, digits, '-', '_' and '.'; got {recipe.name!r}")
    if recipe.batch_size < 1 or recipe.threads < 0 or recipe.seed < 0:
        raise ParameterError(
            f"batch_size must be at least 1, threads and seed at least 0; got {recipe.batch_size}, {recipe.threads} and "
            f"{recipe.seed}"
        )
    for group in (*recipe.listen.groups, *(entry.group for entry in recipe.classifiers.values())):
        _known("group of classifiers", group, GROUPS)


def _check_frequencies(recipe: LikeToHearRecipe) -> None:
    for name in recipe.frequencies.classifiers:
        _known("classifier of the study", name, recipe.classifiers)
    edges = recipe.frequencies.edges_hz
    if (
        len(edges) < 2
        or not all(map(math.isfinite, edges))
        or edges[0] < 0
        or any(b <= a for a, b in itertools.pairwise(edges))
    ):
        raise ParameterError(f"frequencies.edges_hz must rise and hold at least two; got {list(edges)}")
    if not all(math.isfinite(cut) and cut > 0 for cut in recipe.frequencies.cutoffs_hz):
        raise ParameterError(f"frequencies.cutoffs_hz must lie above 0; got {list(recipe.frequencies.cutoffs_hz)}")


def _check_classifiers(recipe: LikeToHearRecipe) -> None:
    if not recipe.main():
        raise ParameterError("a like-to-hear study needs at least one classifier of the group main")
    for name, entry in recipe.classifiers.items():
        if not re.fullmatch(r"[\w][\w.-]*", name) or "--" in name:
            raise ParameterError(f"the name {name!r} of a classifier must be a file's name without '--'")
        if sum(map(bool, (entry.model, entry.train, entry.of))) != 1:
            raise ParameterError(f"classifier {name!r} of the study needs one of model, train and of")
        for part in entry.without:
            _known("part of a DyMN", part, CHOICES["classifier: without"])
        if entry.of and entry.of in recipe.classifiers and recipe.classifiers[entry.of].of:
            raise ParameterError(
                f"classifier {name!r} must be switched from a trained one, not from {entry.of!r}, which is switched"
            )
        for other in filter(None, (entry.teacher, entry.of)):
            _known("classifier of the study", other, recipe.classifiers)
            if list(recipe.classifiers).index(other) >= list(recipe.classifiers).index(name):
                raise ParameterError(f"classifier {other!r} must come before {name!r}, which builds on it")


def _check_tuning(recipe: LikeToHearRecipe) -> None:
    for name, starts in recipe.tune.to.items():
        _known("classifier of the study", name, recipe.classifiers)
        if not isinstance(starts, list) or not starts:
            raise ParameterError(f"tune.to: {name} must be a list of starting points; got {starts!r}")
        for start in starts:
            _known("starting point", str(start), recipe.tune.starts)
    if not recipe.tune.to:
        raise ParameterError("tune.to names no classifier: nothing would be tuned")

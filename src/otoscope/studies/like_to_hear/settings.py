"""The recipe of a like-to-hear study: which classifiers listen, which autoencoders are tuned to them, what is measured."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.recipes.find import LIKE_TO_HEAR
from otoscope.recipes.read import RecipeFiles, find_recipes, read_content
from otoscope.recipes.schema import Field, Settings, SkipJsonSchema, build_settings, check_name, group
from otoscope.training.autoencoder.settings import Part
from otoscope.training.settings import DataSettings

Group = Literal["main", "switched", "trained"]


class ClassifierEntry(Settings):
    """One classifier: ready, to be trained first, or another one with parts switched off."""

    model: str = Field("", description="Any classifier, by name or folder.")
    train: tuple[str, ...] = Field(
        (), description="Recipes to train it by if it does not exist yet, relative to the study's recipe."
    )
    teacher: str = Field("", description="Another classifier of the study that is the teacher in its recipe.")
    of: str = Field("", description="Another classifier of the study, of which the parts ``without`` are switched off.")
    without: tuple[Part, ...] = Field((), description="Parts of a DyMN.")
    set: tuple[str, ...] = Field(
        (), description="``key=value`` on top of its recipe; with ``model``, ``weights=FILE``."
    )
    title: str = Field("", description="For tables and pages.")
    group: Group = Field(
        "main",
        description="Ablations are in the last two: by a switch on a trained network, or trained without the part.",
    )


class StartEntry(Settings):
    """A starting point of tunings."""

    title: str = Field("", description="For tables and pages.")
    set: tuple[str, ...] = Field((), description="``key=value`` on top of the recipe of tunings that begin here.")


class TuneEntry(Settings):
    """Which autoencoders are tuned."""

    control: tuple[str, ...] = Field(
        ("pretrain.yaml",), description="Recipes of the autoencoder that is trained by MSE alone."
    )
    recipe: tuple[str, ...] = Field(("tune.yaml",), description="Recipes of a tuning.")
    starts: dict[str, StartEntry] = Field(
        {"control": StartEntry(title="pre-trained by MSE")},
        description="Starting points by name: ``control`` starts from the control, ``random`` from random weights, others from "
        "the autoencoder of that name.",
    )
    to: dict[str, Any] = Field({}, description="Classifier -> list of the starting points that are tuned to it.")
    set: tuple[str, ...] = Field((), description="``key=value`` on top of both recipes.")


class FrequencySettings(Settings):
    """Which frequencies are removed."""

    edges_hz: tuple[float, ...] = Field(
        (0.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0),
        description="Edges in Hz of the bands that are removed, or kept alone; a last band reaches from the last edge to the top "
        "of the sounds.",
    )
    cutoffs_hz: tuple[float, ...] = Field(
        (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0), description="Cut-offs in Hz of low-pass and high-pass filters."
    )
    classifiers: tuple[str, ...] = Field((), description="Which classifiers listen; empty for those of the group main.")


class ListenSettings(Settings):
    """What can be heard on the listening page."""

    clips: tuple[int | str, ...] = Field(
        (), description="Files of the test folds, or their numbers; empty for the first of each class."
    )
    groups: tuple[Group, ...] = Field(("main",), description="Groups of the classifiers whose autoencoders are heard.")


class LikeToHearRecipe(Settings):
    """All settings of a like-to-hear study.

    Examples
    --------
    >>> LikeToHearRecipe(classifiers={"mn": {"model": "esc10-mn"}}).main()
    ['mn']
    """

    name: str = Field("like-to-hear", description="Name of the study.")
    title: str = Field("What networks like to hear", description="For tables and pages.")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of the bootstrap of intervals; trainings have their own."
    )
    threads: int = Field(0, ge=0, le=4096, description="Number of processor threads; 0 for torch's choice.")
    out: str = Field("", description="Folder of the results; empty for ``runs/NAME``.")
    batch_size: int = Field(8, ge=1, le=1_000_000, description="Number of clips that are measured together.")
    data: DataSettings = group(DataSettings, "Data of the study and of all its trainings.")
    classifiers: dict[str, ClassifierEntry] = Field(
        {}, description="Name -> classifier; those that build on others come after them."
    )
    tune: TuneEntry = group(TuneEntry)
    frequencies: FrequencySettings = group(FrequencySettings)
    listen: ListenSettings = group(ListenSettings)
    folder: SkipJsonSchema[str] = ""

    def identity(self) -> dict[str, Any]:
        """What makes it this study and no other: everything except how it is executed."""
        plain = self.model_dump(exclude={"out", "threads", "folder", "batch_size", "data"})
        return {**plain, "data": self.data.identity()}

    def main(self) -> list[str]:
        """Names of the classifiers of the group main."""
        return [name for name, entry in self.classifiers.items() if entry.group == "main"]


def load_like_to_hear(path: RecipeFiles, overrides: Sequence[str] = ()) -> LikeToHearRecipe:
    """Read the recipe of a study; files and overrides lie on top of one another as in `otoscope.training.load_recipe`.

    Parameters
    ----------
    path : path, name, or sequence of these
        Files, or recipes of the package by name (``otoscope recipe list``).
    overrides : sequence of str
        ``key=value`` with dotted keys and YAML values.

    Returns
    -------
    LikeToHearRecipe

    Raises
    ------
    OtoscopeError
        If a file is missing, a setting unknown or out of range, or a name does not exist in the study.

    Examples
    --------
    >>> load_like_to_hear("esc10", ["seed=3"]).seed
    3
    """
    files = find_recipes(path, LIKE_TO_HEAR)
    content = read_content(files, overrides, [LikeToHearRecipe])
    content["folder"] = str(files[0].resolve().parent)
    recipe = build_settings(LikeToHearRecipe, content)
    check_name(recipe.name, recipe.out)
    for check in (_check_classifiers, _check_tuning, _check_frequencies):
        check(recipe)
    return recipe.replace(out=recipe.out or f"runs/{recipe.name}")


def _known(what: str, name: str, names: Any) -> None:
    if name not in names:
        raise UnknownNameError(what, name, list(names))


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

"""Who takes part: classifiers and autoencoders, trained where they are not there yet."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otoscope.autoencoders import Autoencoder, load_autoencoder
from otoscope.classifiers import Classifier, load_classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.core.errors import OtoscopeError
from otoscope.recipes.find import LIKE_TO_HEAR, find_recipe
from otoscope.recipes.runs import read_json
from otoscope.studies.like_to_hear.settings import LikeToHearRecipe
from otoscope.training.run import train
from otoscope.training.task import load_recipe

CONTROL = "control"
Log = Callable[[str], object]


@dataclass(frozen=True)
class Tuned:
    """An autoencoder of the study, ``CLASSIFIER--START`` or ``control``, and the ``result`` of its training.

    ``classifier``, whom it was tuned to, and ``start``, what it started from, are empty for the control.
    """

    name: str
    autoencoder: Autoencoder
    classifier: str
    start: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Members:
    """All that take part, by name; ``numbers`` are each classifier's numbers of the data set's classes.

    The first autoencoder is the control.
    """

    classifiers: Mapping[str, Classifier]
    numbers: Mapping[str, list[int]]
    autoencoders: Mapping[str, Tuned]


@dataclass(frozen=True)
class Job:
    """A training of the study: its folder, and its recipe, read and checked."""

    folder: Path
    recipe: Any


Jobs = tuple[list[Job], list[Job]]  # of classifiers, of autoencoders


def plan_trainings(recipe: LikeToHearRecipe, out: Path) -> Jobs:
    """All trainings of a study, in order: of classifiers, and of autoencoders; their recipes are read and checked."""
    first = [_classifier_job(recipe, out, name) for name, entry in recipe.classifiers.items() if entry.train]
    rest = [_job(recipe, recipe.tune.control, out / "autoencoders" / CONTROL, ["task=pretrain", *recipe.tune.set])]
    for name, start in pairs(recipe):
        settings = _tuning_settings(recipe, out, name, start)
        rest.append(_job(recipe, recipe.tune.recipe, out / "autoencoders" / f"{name}--{start}", settings))
    return first, rest


def gather(recipe: LikeToHearRecipe, out: Path, jobs: Jobs, labels: tuple[str, ...], device: str, log: Log) -> Members:
    """Train or read everything that the study needs; what is there already is not trained again.

    An `OtoscopeError` if a training fails, a member cannot be used, or an autoencoder was tuned to other weights than its
    classifier has.
    """
    first, rest = jobs
    for job in first:
        _train(job, device, log)
    classifiers = load_classifiers(recipe, out)
    numbers = {name: class_numbers(labels, classifier) for name, classifier in classifiers.items()}
    for job in rest:
        _train(job, device, log)
    autoencoders = load_autoencoders(recipe, out)
    for tuned in autoencoders.values():
        if tuned.classifier:
            _refuse_stale(tuned, classifiers[tuned.classifier], out)
    return Members(classifiers, numbers, autoencoders)


def _refuse_stale(tuned: Tuned, classifier: Classifier, out: Path) -> None:
    about = tuned.autoencoder.info.get("tuned_to") or {}
    if about.get("sha256") != classifier.digest():
        raise OtoscopeError(
            f"{out / 'autoencoders' / tuned.name} was tuned to other weights than {tuned.classifier!r} has now; move that folder "
            "away to tune it again"
        )


def pairs(recipe: LikeToHearRecipe) -> list[tuple[str, str]]:
    """Whom an autoencoder is tuned to, and from where."""
    return [(name, str(start)) for name, starts in recipe.tune.to.items() for start in starts]


def _shared(recipe: LikeToHearRecipe) -> list[str]:
    """What all trainings of a study have in common: data and split."""
    data = recipe.data.model_dump()
    del data["crop_s"]  # a training's own
    suited = data.pop("settings")
    return [
        *(_set(f"data.{key}", value) for key, value in data.items()),
        *(_set(f"data.settings.{key}", value) for key, value in suited.items()),
        *([f"threads={recipe.threads}"] if recipe.threads else []),
    ]


def _set(key: str, value: Any) -> str:
    """An override; JSON is YAML too, and nothing in a path or a name is taken for more than it is."""
    return f"{key}={json.dumps(value)}"


def _job(recipe: LikeToHearRecipe, files: tuple[str, ...], folder: Path, settings: list[str]) -> Job:
    paths = [find_recipe(file, LIKE_TO_HEAR, recipe.folder) for file in files]
    return Job(folder, load_recipe(paths, [*_shared(recipe), *settings, _set("out", str(folder))]))


def _train(job: Job, device: str, log: Log) -> None:
    folder, wanted = job.folder, job.recipe
    if (folder / "model" / "results.json").is_file():
        stored = read_json(folder / "recipe.json")
        if _anywhere(stored) != _anywhere(json.loads(json.dumps(wanted.identity()))):
            raise OtoscopeError(f"{folder} was trained by another recipe; move it away, or give out=FOLDER")
        log(f"{folder.parent.name}/{folder.name}: is there")
        return
    log(f"{folder.parent.name}/{folder.name}: training")
    train(wanted, device)


def _anywhere(identity: dict[str, Any]) -> dict[str, Any]:
    """What makes a run, without where on a disk its parts lie: a study's folder may be moved."""
    plain = copy.deepcopy(identity)
    for group, key in (("data", "root"), ("teacher", "model"), ("classifier", "model"), ("autoencoder", "start")):
        if group in plain:
            plain[group][key] = "/".join(Path(plain[group][key]).parts[-2:])
    for group in ("teacher", "model", "classifier", "autoencoder"):
        if "weights" in plain.get(group, {}):
            plain[group]["weights"] = Path(plain[group]["weights"]).name
    return plain


def _classifier_job(recipe: LikeToHearRecipe, out: Path, name: str) -> Job:
    entry = recipe.classifiers[name]
    settings = list(entry.set)
    if entry.teacher:
        settings.append(_set("teacher.model", _folder_of(recipe, out, entry.teacher)))
    return _job(recipe, entry.train, out / "classifiers" / name, settings)


def _folder_of(recipe: LikeToHearRecipe, out: Path, name: str) -> str:
    """What `load_classifier` reads an unswitched classifier of the study from."""
    entry = recipe.classifiers[name]
    return str(out / "classifiers" / name / "model") if entry.train else entry.model


def _tuning_settings(recipe: LikeToHearRecipe, out: Path, name: str, start: str) -> list[str]:
    entry = recipe.classifiers[name]
    base = recipe.classifiers[entry.of or name]
    begin = str(out / "autoencoders" / CONTROL / "model") if start == CONTROL else start
    return [
        "task=tune",
        _set("name", f"{name}--{start}"),
        *recipe.tune.set,
        *recipe.tune.starts[start].set,
        _set("classifier.model", _folder_of(recipe, out, entry.of or name)),
        *(f"classifier.{s}" for s in base.set if base.model and s.startswith("weights=")),
        _set("classifier.without", entry.without),
        _set("autoencoder.start", begin),
        *(["autoencoder.settings={}"] if start != "random" else []),
    ]


def load_classifiers(recipe: LikeToHearRecipe, out: Path) -> dict[str, Classifier]:
    """All classifiers of the study, in evaluation mode, switched as they are to be."""
    from otoscope.training.autoencoder.task import switch_off  # imports Lightning, which other studies do not need

    made: dict[str, Classifier] = {}
    for name, entry in recipe.classifiers.items():
        if entry.of:
            classifier = copy.deepcopy(made[entry.of])
        else:
            weights = [s.partition("=")[2] for s in entry.set if entry.model and s.startswith("weights=")]
            classifier = load_classifier(_folder_of(recipe, out, name), (weights or ["published"])[-1])
        switch_off(classifier, entry.without)
        classifier.name = name
        made[name] = classifier.eval().requires_grad_(False)
    return made


def load_autoencoders(recipe: LikeToHearRecipe, out: Path) -> dict[str, Tuned]:
    """The control and all tuned autoencoders."""
    made = {}
    for name, start in [("", CONTROL), *pairs(recipe)]:
        key = f"{name}--{start}" if name else CONTROL
        folder = out / "autoencoders" / key / "model"
        autoencoder = load_autoencoder(folder).requires_grad_(False)
        made[key] = Tuned(key, autoencoder, name, start if name else "", read_json(folder / "results.json"))
    return made

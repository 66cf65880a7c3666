"""The recipe of a grid study: which clips, classifiers, methods, domains, masks and conditions, and what is measured."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.masks import parse_mask
from otoscope.recipes.read import build_settings, read_content

COMPAT = ("transposed_cam", "quantile_ties", "constant_masks", "double_softmax")
TARGETS = ("predicted", "label")
UNFIT = ("refuse", "leave_out")
PRECISIONS = ("float32", "bfloat16")
ORACLES = ("oracle:ratio", "oracle:binary")
ONES = "control:ones"
GIVEN = (*ORACLES, ONES)  # their values are the mask itself
PATHS = ("./", "../")
Fold = int | str


@dataclass(frozen=True)
class GridData:
    """Which clips.

    Parameters
    ----------
    name : str
        A data set and its settings, such as ``esc50,esc10=true``.
    root : str
        Its folder.
    folds : tuple of fold names
        Of the clips that are explained; empty for all.
    background : tuple of fold names
        Of the clips that methods with ``background=train`` compare with; empty for all folds but ``folds``.
    labels : str
        A file or folder of event labels (`otoscope.datasets.truth_of`), where they do not lie beside the clips.
    noises : str
        A folder in which recordings that clips are contaminated with are looked for by name.
    seconds : float, s
        Clips are cut or padded with silence to this length.
    peak : bool
        Bring each clip's peak to full scale, noise and cue included, as audiointerp does; those of a background too.
    per_class : int
        The first so many clips of each class, by name; 0 for all.
    files : tuple of str
        Only clips of these names.
    alone : float in [0, 1)
        Only clips whose labelled stem alone is given at least this probability of its class; 0 for all clips. Nobody can
        say what a classifier should find that does not know the sound.
    names : mapping of str to str
        The data set's class -> the classifier's, where they differ.
    """

    name: str = "esc50"
    root: str = ""
    folds: tuple[Fold, ...] = ()
    background: tuple[Fold, ...] = ()
    labels: str = ""
    noises: str = ""
    seconds: float = 5.0
    peak: bool = False
    per_class: int = 0
    files: tuple[str, ...] = ()
    alone: float = 0.0
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GridClassifier:
    """One classifier.

    Parameters
    ----------
    model : str
        By name or folder; folders that begin with a dot are relative to the recipe.
    weights : str
        ``published`` or a file.
    title : str
        For tables and pages.
    """

    model: str = ""
    weights: str = "published"
    title: str = ""


@dataclass(frozen=True)
class GridMethod:
    """One method, in one or several domains.

    Parameters
    ----------
    method : str
        ``NAME`` or ``NAME,setting=value``. ``oracle:ratio`` and ``oracle:binary`` are the masks of those who know the truth,
        ``control:ones`` keeps everything; these three take no masks.
    domains : tuple of str
        In place of the study's.
    masks : tuple of str
        In place of the study's.
    scored_in : str
        The domain whose masking is scored, where it is not the one that is explained; its grid must be the same.
    precision : {"float32", "bfloat16"}
        Of the network while a method without gradients asks it; scores are always taken in float32.
    classifiers : tuple of str
        Which of the study's are asked; empty for all.
    title : str
        For tables and pages.
    """

    method: str = ""
    domains: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    scored_in: str = ""
    precision: str = "float32"
    classifiers: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class GridCondition:
    """What is done to the clips before they are explained.

    Parameters
    ----------
    contaminate : str
        A noise, such as ``white,snr_db=10``.
    plant : str
        A planted cue, such as ``tone,level_db=-25``; the cue is then what explanations should find.
    target : str
        The class that is explained under this condition; empty for what the study explains.
    without : tuple of str
        Clips of these classes are left out.
    snr_db : tuple of float, dB
        Only mixtures at these levels; empty for all clips.
    title : str
        For tables and pages.
    """

    contaminate: str = ""
    plant: str = ""
    target: str = ""
    without: tuple[str, ...] = ()
    snr_db: tuple[float, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class GridMeasures:
    """What is measured of each explanation besides the metrics of masks and scores.

    Parameters
    ----------
    heard : bool
        The scores of the sounds as written, too.
    truth : bool
        Everything that needs stems or events, where a clip has them.
    curve_steps : int
        Steps of deletion and insertion curves; 0 for none. They belong to an attribution, whatever its mask.
    top : tuple of float
        Shares of the cells in (0, 1) whose removal is scored (FF at top x %).
    controls : bool
        The scores, as heard, of a random mask and of the cells with the most energy, each of the same area as the mask.
    """

    heard: bool = True
    truth: bool = True
    curve_steps: int = 0
    top: tuple[float, ...] = ()
    controls: bool = False


@dataclass(frozen=True)
class GridSanity:
    """Whether explanations depend on what they should, on a few clips; a table of its own.

    Parameters
    ----------
    clips : int
        So many clips, spread over the classes; 0 for none.
    seeds : int
        Seeds of random methods that are compared.
    noise_db : float, dB
        Level of added white noise beside the clip's.
    shift_ms : float, ms
        Shift in time.
    stages : int
        Steps in which parameters are made random from the output down; 0 for none.
    """

    clips: int = 0
    seeds: int = 3
    noise_db: float = -40.0
    shift_ms: float = 100.0
    stages: int = 4


@dataclass(frozen=True)
class StudyRecipe:
    """All settings of a grid study.

    Parameters
    ----------
    name : str
    title : str
        For tables and pages.
    seed : int
        Of methods, noises and the choice of backgrounds.
    threads : int
        Of the processor, for each worker; 0 leaves torch's choice.
    workers : int
        Processes that work side by side; 0 works in this one.
    out : str
        Folder of the results; empty for ``runs/NAME``.
    batch_size : int
        Most clips, or masks of clips, in one pass.
    chunk : int
        Clips whose rows are stored together: what is lost at most, for each worker, when it stops.
    target : {"predicted", "label"}
        The class that is explained: the classifier's most probable one, or the clip's.
    unfit : {"refuse", "leave_out"}
        What becomes of a method in a domain in which it cannot be asked.
    compat : tuple of {"transposed_cam", "quantile_ties", "constant_masks", "double_softmax"}
        Published quirks of audiointerp (and of SpeechBrain's AD, the last) to reproduce.
    domains, masks : tuple of str
    data : GridData
    classifiers : mapping of str to GridClassifier
    methods : mapping of str to GridMethod
    conditions : mapping of str to GridCondition
        By default one that does nothing, ``clean``.
    measures : GridMeasures
    sanity : GridSanity
    """

    name: str = "study"
    title: str = ""
    seed: int = 0
    threads: int = 0
    workers: int = 0
    out: str = ""
    batch_size: int = 16
    chunk: int = 8
    target: str = "predicted"
    unfit: str = "refuse"
    compat: tuple[str, ...] = ()
    domains: tuple[str, ...] = ("mel",)
    masks: tuple[str, ...] = ("positive",)
    data: GridData = field(default_factory=GridData)
    classifiers: dict[str, GridClassifier] = field(default_factory=dict)
    methods: dict[str, GridMethod] = field(default_factory=dict)
    conditions: dict[str, GridCondition] = field(default_factory=lambda: {"clean": GridCondition()})
    measures: GridMeasures = field(default_factory=GridMeasures)
    sanity: GridSanity = field(default_factory=GridSanity)

    def identity(self) -> dict[str, Any]:
        """What makes it this study and no other: all but how it is run."""
        plain = dataclasses.asdict(self)
        for key in ("out", "threads", "workers", "batch_size"):
            del plain[key]
        return plain


def load_study(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], overrides: Sequence[str] = ()
) -> StudyRecipe:
    """Read the recipe of a grid study; recipes and overrides lie on top of one another as in `otoscope.training.load_recipe`.

    Raises
    ------
    OtoscopeError
        If a file is missing, a setting unknown or out of range, or a name or spec in it means nothing.
    """
    content = read_content(path, overrides)
    first = Path(path) if isinstance(path, str | os.PathLike) else Path(next(iter(path)))
    _resolve(content, first.resolve().parent)
    recipe: StudyRecipe = build_settings(StudyRecipe, content)
    for check in (_check_plainly, _check_members, _check_numbers):
        check(recipe)
    return dataclasses.replace(recipe, out=recipe.out or f"runs/{recipe.name}", title=recipe.title or recipe.name)


def _resolve(content: dict[str, Any], folder: Path) -> None:
    """Folders of classifiers that begin with a dot are relative to the recipe."""
    members = content.get("classifiers")
    for entry in members.values() if isinstance(members, dict) else ():
        for key in ("model", "weights"):
            if isinstance(entry, dict) and str(entry.get(key, "")).startswith(PATHS):
                entry[key] = str((folder / entry[key]).resolve())


def _check_plainly(recipe: StudyRecipe) -> None:
    if not re.fullmatch(r"[\w][\w .-]*", recipe.name):
        raise ParameterError(f"name must be a file's name of letters, digits, '-', '_' and '.'; got {recipe.name!r}")
    if "\0" in recipe.out:
        raise ParameterError("out must be a folder's name; it holds a NUL character")
    for what, value, known in (("target", recipe.target, TARGETS), ("unfit", recipe.unfit, UNFIT)):
        if value not in known:
            raise UnknownNameError(f"{what} of a study", value, known)
    for quirk in recipe.compat:
        if quirk not in COMPAT:
            raise UnknownNameError("published quirk", quirk, COMPAT)
    for what, table in (
        ("classifiers", recipe.classifiers),
        ("methods", recipe.methods),
        ("conditions", recipe.conditions),
    ):
        if not table:
            raise ParameterError(f"a study needs at least one entry in {what}")


def _check_members(recipe: StudyRecipe) -> None:
    for name, entry in recipe.classifiers.items():
        if not entry.model:
            raise ParameterError(f"classifier {name!r} of the study needs a model")
    for spec in (*recipe.domains, *(d for m in recipe.methods.values() for d in (*m.domains, m.scored_in) if d)):
        registry.parse("domain", spec)
    for mask in (*recipe.masks, *(s for m in recipe.methods.values() for s in m.masks)):
        parse_mask(mask)
    for specs in (
        recipe.masks,
        recipe.domains,
        *(m.masks for m in recipe.methods.values()),
        *(m.domains for m in recipe.methods.values()),
    ):
        _refuse_twice(specs)
    if not recipe.masks or not recipe.domains:
        raise ParameterError("a study needs at least one mask and one domain")
    for name, method in recipe.methods.items():
        for classifier in method.classifiers:
            if classifier not in recipe.classifiers:
                raise UnknownNameError("classifier of the study", classifier, recipe.classifiers)
        if method.precision not in PRECISIONS:
            raise UnknownNameError("precision", method.precision, PRECISIONS)
        if method.method in GIVEN:
            continue
        found, _ = registry.parse("method", method.method or name)
        if found.facts.get("gives", "attributions") != "attributions":
            raise ParameterError(
                f"method {name!r} of the study gives a {found.facts['gives']} and no attributions, so no masks can be made "
                "of it; leave it out"
            )
        if method.precision != "float32" and "gradients" in found.facts["needs"]:
            raise ParameterError(
                f"method {name!r} of the study takes gradients, which need float32; leave precision out"
            )


def _refuse_twice(specs: tuple[str, ...]) -> None:
    """A mask or a domain that comes twice, whatever way it is written, would give every row twice."""
    seen: dict[str, str] = {}
    for spec in specs:
        name = spec.split(",")[0].split(":")[0]
        said = str(parse_mask(spec)) if name in {m.split(":")[0] for m in registry.names("mask")} else _spec(spec)
        if said in seen:
            raise ParameterError(f"{seen[said]!r} and {spec!r} of the study are the same; leave one out")
        seen[said] = spec


def _spec(domain: str) -> str:
    return registry.format_spec(*registry.parse("domain", domain))


def _check_numbers(recipe: StudyRecipe) -> None:
    bounds = {
        "seed": (recipe.seed, 0, 2**31 - 1), "threads": (recipe.threads, 0, 4096), "workers": (recipe.workers, 0, 256),
        "batch_size": (recipe.batch_size, 1, 2**31 - 1), "chunk": (recipe.chunk, 1, 10_000),
        "data: per_class": (recipe.data.per_class, 0, 10**9),
        "data: seconds": (recipe.data.seconds, 0.01, 30), "data: alone": (recipe.data.alone, 0, 0.999),
        "measures: curve_steps": (recipe.measures.curve_steps, 0, 1000),
        "sanity: clips": (recipe.sanity.clips, 0, 10**6), "sanity: seeds": (recipe.sanity.seeds, 2, 100),
        "sanity: noise_db": (recipe.sanity.noise_db, -120, 20), "sanity: shift_ms": (recipe.sanity.shift_ms, 0, 5000),
        "sanity: stages": (recipe.sanity.stages, 0, 100),
    }  # fmt: skip
    for key, (value, low, high) in bounds.items():
        if not low <= value <= high:
            raise ParameterError(f"{key} must lie in [{low}, {high}]; got {value!r}")
    for share in recipe.measures.top:
        if not 0 < share < 1:
            raise ParameterError(f"measures: top must hold shares of the cells in (0, 1); got {share!r}")

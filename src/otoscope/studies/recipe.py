"""The recipe of a grid study: which clips, classifiers, methods, domains, masks and conditions, and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.masks import parse_mask
from otoscope.recipes.find import STUDIES
from otoscope.recipes.read import RecipeFiles, read_content
from otoscope.recipes.schema import Field, FilePath, Fold, NameOrPath, Settings, build_settings, check_name, group

ORACLES = ("oracle:ratio", "oracle:binary")
ONES = "control:ones"
GIVEN = (*ORACLES, ONES)  # their values are the mask itself
Share = Annotated[float, Field(gt=0, lt=1)]


class GridData(Settings):
    """Which clips are explained."""

    name: str = Field("esc50", description="A data set and its settings, such as ``esc50,esc10=true``.")
    root: FilePath = Field("", description="Folder of the data set.")
    folds: tuple[Fold, ...] = Field((), description="Folds of the clips that are explained; empty for all.")
    background: tuple[Fold, ...] = Field(
        (),
        description="Folds of the background clips of methods with ``background=train``; empty for all but ``folds``.",
    )
    labels: FilePath = Field(
        "",
        description="A file or folder of event labels (`otoscope.datasets.truth_of`), if it is not next to the clips.",
    )
    noises: FilePath = Field(
        "", description="A folder in which recordings that clips are contaminated with are looked up by name."
    )
    seconds: float = Field(
        5.0, ge=0.01, le=30, description="Length in s to which clips are cut or padded with silence."
    )
    peak: bool = Field(
        False,
        description="Normalise the peak of each clip to full scale, noise and cue included, as audiointerp does; of background "
        "clips, too.",
    )
    per_class: int = Field(
        0, ge=0, le=10**9, description="Number of clips of each class, the first by name; 0 for all."
    )
    files: tuple[str, ...] = Field((), description="Only clips of these names.")
    alone: float = Field(
        0.0,
        ge=0,
        le=0.999,
        description="Only clips whose labelled stem alone has at least this probability of its class; 0 for all clips. What a "
        "classifier should find is undefined if it does not know the sound.",
    )
    names: dict[str, str] = Field({}, description="The data set's class -> the classifier's, where they differ.")


class GridClassifier(Settings):
    """One classifier of a study."""

    model: NameOrPath = Field("", description="By name or folder.")
    weights: NameOrPath = Field("published", description="``published`` or a file.")
    title: str = Field("", description="For tables and pages.")


class GridMethod(Settings):
    """One method, in one or several domains."""

    method: str = Field(
        "",
        description="``NAME`` or ``NAME,setting=value``; empty for the entry's own name. ``oracle:ratio`` and ``oracle:binary`` "
        "are the ideal masks of the ground truth, ``control:ones`` keeps everything; these three take no masks.",
    )
    domains: tuple[str, ...] = Field((), description="In place of the study's.")
    masks: tuple[str, ...] = Field((), description="In place of the study's.")
    scored_in: str = Field(
        "",
        description="The domain in which masking is scored, if it is not the one that is explained; its grid must be the same.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Precision of the network for methods without gradients; scores are always computed in float32.",
    )
    classifiers: tuple[str, ...] = Field(
        (), description="Which of the study's classifiers are explained; empty for all."
    )
    title: str = Field("", description="For tables and pages.")


class GridCondition(Settings):
    """What is done to the clips before they are explained."""

    contaminate: str = Field("", description="A noise, such as ``white,snr_db=10``.")
    plant: str = Field(
        "", description="A planted cue, such as ``tone,level_db=-25``, which explanations should then find."
    )
    target: str = Field(
        "", description="The class that is explained under this condition; empty for the study's target."
    )
    without: tuple[str, ...] = Field((), description="Clips of these classes are left out.")
    snr_db: tuple[float, ...] = Field((), description="Only mixtures at these levels in dB; empty for all clips.")
    title: str = Field("", description="For tables and pages.")


class GridMeasures(Settings):
    """Measures besides the metrics of masks and scores."""

    heard: bool = Field(True, description="Score the sounds as written, too.")
    truth: bool = Field(True, description="Compute all metrics that need stems or events, for clips that have them.")
    curve_steps: int = Field(
        0,
        ge=0,
        le=1000,
        description="Number of steps of deletion and insertion curves; 0 for none. They belong to an attribution, not to a mask.",
    )
    top: tuple[Share, ...] = Field(
        (), description="Shares of the cells in (0, 1) whose removal is scored (FF at top x %)."
    )
    controls: bool = Field(
        False,
        description="Score, as heard, a random mask and the cells with the most energy, each of the same area as the mask.",
    )


class GridSanity(Settings):
    """Sanity checks of the explanations, on a few clips; a table of its own."""

    clips: int = Field(0, ge=0, le=10**6, description="Number of clips, spread over the classes; 0 for none.")
    seeds: int = Field(3, ge=2, le=100, description="Number of seeds of random methods that are compared.")
    noise_db: float = Field(
        -40.0, ge=-120, le=20, description="Level of added white noise in dB relative to the clip's."
    )
    shift_ms: float = Field(100.0, ge=0, le=5000, description="Shift in time in ms.")
    stages: int = Field(
        4,
        ge=0,
        le=100,
        description="Number of steps in which parameters are randomised from the output down; 0 for none.",
    )


class StudyRecipe(Settings):
    """All settings of a grid study.

    Examples
    --------
    >>> StudyRecipe(classifiers={"mn": {"model": "esc10-mn"}}, methods={"lime": {}}, masks=["topk:0.2"]).domains
    ('mel',)
    """

    name: str = Field("study", description="Name of the study.")
    title: str = Field("", description="For tables and pages.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of methods, noises and the choice of backgrounds.")
    threads: int = Field(0, ge=0, le=4096, description="Processor threads of each worker; 0 for torch's choice.")
    workers: int = Field(0, ge=0, le=256, description="Number of parallel processes; 0 works in this one.")
    out: str = Field("", description="Folder of the results; empty for ``runs/NAME``.")
    batch_size: int = Field(16, ge=1, le=2**31 - 1, description="Most clips, or masks of clips, in one pass.")
    chunk: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Number of clips whose rows are stored together: the most that each worker loses when it is stopped.",
    )
    target: Literal["predicted", "label"] = Field(
        "predicted", description="The class that is explained: the classifier's most probable one, or the clip's label."
    )
    unfit: Literal["refuse", "leave_out"] = Field(
        "refuse", description="What happens to a method in a domain that it does not support."
    )
    compat: tuple[
        Literal["transposed_cam", "quantile_ties", "raw_sigmoid", "constant_masks", "double_softmax"], ...
    ] = Field((), description="Published quirks of audiointerp (and of SpeechBrain's AD, the last) to reproduce.")
    domains: tuple[str, ...] = Field(("mel",), description="Domains of the explanations (``otoscope domains``).")
    masks: tuple[str, ...] = Field(("positive",), description="Masks of the attributions (``otoscope masks``).")
    data: GridData = group(GridData)
    classifiers: dict[str, GridClassifier] = Field({}, description="Name -> classifier.")
    methods: dict[str, GridMethod] = Field({}, description="Name -> method.")
    conditions: dict[str, GridCondition] = Field(
        {"clean": GridCondition()}, description="Name -> condition; by default one that changes nothing."
    )
    measures: GridMeasures = group(GridMeasures)
    sanity: GridSanity = group(GridSanity)

    def identity(self) -> dict[str, Any]:
        """What makes it this study and no other: everything except how it is executed."""
        return self.model_dump(exclude={"out", "threads", "workers", "batch_size"})


def load_study(path: RecipeFiles, overrides: Sequence[str] = ()) -> StudyRecipe:
    """Read the recipe of a grid study; files and overrides lie on top of one another as in `otoscope.training.load_recipe`.

    Parameters
    ----------
    path : path, name, or sequence of these
        Files, or recipes of the package by name (``otoscope recipe list``).
    overrides : sequence of str
        ``key=value`` with dotted keys and YAML values.

    Returns
    -------
    StudyRecipe

    Raises
    ------
    OtoscopeError
        If a file is missing, a setting unknown or out of range, or a name or spec in it does not exist.

    Examples
    --------
    >>> load_study("first", ["masks=[positive]"]).masks
    ('positive',)
    """
    recipe = build_settings(StudyRecipe, read_content(path, overrides, [StudyRecipe], STUDIES))
    check_name(recipe.name, recipe.out)
    for what in ("classifiers", "methods", "conditions"):
        if not getattr(recipe, what):
            raise ParameterError(f"a study needs at least one entry in {what}")
    _check_members(recipe)
    return recipe.replace(out=recipe.out or f"runs/{recipe.name}", title=recipe.title or recipe.name)


def _check_members(recipe: StudyRecipe) -> None:
    for name, entry in recipe.classifiers.items():
        if not entry.model:
            raise ParameterError(f"classifier {name!r} of the study needs a model")
    methods = recipe.methods.values()
    for domain in (*recipe.domains, *(d for m in methods for d in (*m.domains, m.scored_in) if d)):
        registry.parse("domain", domain)
    for masks in (recipe.masks, *(m.masks for m in methods)):
        _refuse_twice(masks, [str(parse_mask(mask)) for mask in masks])
    for domains in (recipe.domains, *(m.domains for m in methods)):
        _refuse_twice(domains, [registry.format_spec(*registry.parse("domain", domain)) for domain in domains])
    if not recipe.masks or not recipe.domains:
        raise ParameterError("a study needs at least one mask and one domain")
    for name, method in recipe.methods.items():
        for classifier in method.classifiers:
            if classifier not in recipe.classifiers:
                raise UnknownNameError("classifier of the study", classifier, recipe.classifiers)
        if method.method in GIVEN:
            continue
        found, _ = registry.parse("method", method.method or name)
        if found.facts.get("gives") == "sound":
            _check_sound_method(name, method)
        if method.precision != "float32" and "gradients" in found.facts["needs"]:
            raise ParameterError(
                f"method {name!r} of the study takes gradients, which need float32; leave precision out"
            )


def _check_sound_method(name: str, method: GridMethod) -> None:
    """A method that produces the kept sound has no masks, and no precision but its own."""
    for what in ("masks", "precision", "scored_in"):
        if getattr(method, what) != getattr(GridMethod(), what):
            raise ParameterError(
                f"method {name!r} of the study produces audio rather than attributions, so {what} does not apply; leave it out"
            )


def _refuse_twice(specs: Sequence[str], complete: Sequence[str]) -> None:
    """A mask or a domain that comes twice, whatever way it is written, would give every row twice."""
    seen: dict[str, str] = {}
    for spec, said in zip(specs, complete, strict=True):
        if said in seen:
            raise ParameterError(f"{seen[said]!r} and {spec!r} of the study are the same; leave one out")
        seen[said] = spec

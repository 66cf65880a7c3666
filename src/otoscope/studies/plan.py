"""What a study comes down to: methods in domains, chunks of clips, passes; and the check of it all before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from otoscope.classifiers import Classifier, load_classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.core.runtime import resolve_device
from otoscope.datasets import Dataset, Example, load_dataset
from otoscope.datasets.backgrounds import Background, BackgroundSound
from otoscope.explanation.explainers import Explainer, make_explainer
from otoscope.explanation.scoring import score_sound
from otoscope.explanation.search import SEARCH_PASSES, is_searched
from otoscope.studies.clips import Preparation, StudyClip, choose_clips, clip_names, known_truth, stem_alone
from otoscope.studies.methods import TRAIN, BlindExplainer, IdealMask, MethodRun, method_runs
from otoscope.studies.recipe import ORACLES, StudyRecipe
from otoscope.surgery import preserve_state


@dataclass(frozen=True)
class Chunk:
    """Clips of one condition, heard by one classifier; by number in the plan's examples."""

    condition: str
    classifier: str
    clips: tuple[int, ...]


class Plan:
    """All that a study will do, into the folder ``out``; an `OtoscopeError` if anything in the recipe is impossible."""

    def __init__(self, recipe: StudyRecipe, out: Path, device: str = "auto"):
        self.recipe, self.out, self.device = recipe, out, resolve_device(device)
        self.data: Dataset = load_dataset(recipe.data.name, recipe.data.root)
        self.examples: tuple[Example, ...] = choose_clips(self.data, recipe.data)
        self.names = clip_names(self.examples)
        self._alone: dict[tuple[str, int], float] = {}
        self._explainers: dict[tuple[str, str, str, str], Explainer] = {}
        self.runs: list[MethodRun] = method_runs(recipe, lambda: self.background)

    @cached_property
    def classifiers(self) -> Mapping[str, Classifier]:
        """The classifiers by name, on the device."""
        entries = self.recipe.classifiers.items()
        return {name: _laid_out(load_classifier(e.model, e.weights).to(self.device).eval()) for name, e in entries}

    def target_of(self, classifier: str, label: str, condition: str) -> int | str | None:
        """The class that is explained; None for the most probable one."""
        wanted = self.recipe.conditions[condition].target
        if not wanted and self.recipe.target == "predicted":
            return None
        name = wanted or label
        number = self.number_of(classifier, name)
        if number is None:
            raise ParameterError(
                f"classifier {classifier!r} of the study has no class {self.recipe.data.names.get(name, name)!r} to explain; give "
                f"its name for it (data.names: {{{name}: ...}}), or explain what it predicts (target: predicted)"
            )
        return number

    def number_of(self, classifier: str, label: str) -> int | None:
        """The classifier's number of a class of the data set, if it knows it."""
        found = class_numbers([self.recipe.data.names.get(label, label)], self.classifiers[classifier], optional=True)
        return found[0] if found else None

    def clips_of(self, condition: str, classifier: str | None = None) -> list[int]:
        """Numbers of the clips that take part in a condition, and whose sound alone a classifier knows."""
        wanted = self.recipe.conditions[condition]
        chosen = [i for i, e in enumerate(self.examples) if e.label not in wanted.without]
        if wanted.snr_db:
            chosen = [i for i in chosen if self._snr_db[i] in wanted.snr_db]
        return chosen if classifier is None else [i for i in chosen if self._knows(classifier, i)]

    def _knows(self, classifier: str, number: int) -> bool:
        least = self.recipe.data.alone
        key = (classifier, number)
        if least > 0 and key not in self._alone:
            self._alone[key] = self._probability_alone(classifier, self.examples[number])
        return least == 0 or self._alone[key] >= least

    def _probability_alone(self, classifier: str, example: Example) -> float:
        """Of a clip's class, on its stem alone; 1 where it cannot be had: that clip then fails by its name."""
        model, wanted = self.classifiers[classifier], self.number_of(classifier, example.label)
        try:
            stem = stem_alone(example, self.recipe.data)
        except OtoscopeError:
            return 1.0
        if stem is None or wanted is None:
            return 0.0
        with preserve_state(model):
            return float(score_sound(stem, model)[wanted])

    @cached_property
    def _snr_db(self) -> list[float | None]:
        """Each clip's, where it is a mixture."""
        return [self._level(e) for e in self.examples]

    def _level(self, example: Example) -> float | None:
        try:
            truth = known_truth(example, self.recipe.data)
        except OtoscopeError:  # it fails later, by its name
            return None
        return None if truth is None or truth.snr_db is None else round(truth.snr_db, 3)

    def preparations(self) -> dict[str, Preparation]:
        """What makes clips ready, for each condition."""
        recipe, pool = self.recipe, [e.path for e in self.examples]
        return {n: Preparation(recipe.data, c, recipe.seed, pool) for n, c in recipe.conditions.items()}

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All of them, in order."""
        size = self.recipe.chunk
        return [
            Chunk(condition, classifier, tuple(clips[start : start + size]))
            for condition in self.recipe.conditions
            for classifier in self.recipe.classifiers
            for clips in [self.clips_of(condition, classifier)]
            for start in range(0, len(clips), size)
        ]

    def runs_of(self, classifier: str) -> list[MethodRun]:
        """The methods, in their domains, that explain a classifier."""
        return [run for run in self.runs if classifier in run.classifiers]

    def explainer(self, classifier: str, run: MethodRun, clips: Sequence[StudyClip] = ()) -> Explainer:
        """The explainer of a method for some clips; what does not depend on the clips is made once."""
        if run.gives == "mask":
            return IdealMask(run.method, clips)
        if clips and registry.get("method", run.request.method).facts.get("blind"):
            return BlindExplainer(run, clips)
        key = (classifier, run.method, run.domain, run.precision)
        if key not in self._explainers:
            request, model = run.request, self.classifiers[classifier]
            self._explainers[key] = make_explainer(
                request.method, request.method_settings, model, run.method, run.precision, request.batch_size
            )
        return self._explainers[key]

    def passes_of(self, run: MethodRun) -> int:
        """Passes through the classifier for one clip, at most: the method's and those of all its masks."""
        measures = self.recipe.measures
        masks = len(run.masks) * ((4 if measures.heard else 2) + (4 if measures.controls else 0))
        masks += SEARCH_PASSES * sum(is_searched(spec) for spec in run.masks)
        if run.gives == "sound":
            return run.passes + masks
        curves = 2 * (measures.curve_steps + 1) if measures.curve_steps else 0
        return run.passes + masks + curves + len(measures.top)

    def rows(self) -> int:
        """How many rows there will be."""
        return sum(len(c.clips) * sum(len(run.masks) for run in self.runs_of(c.classifier)) for c in self.chunks)

    @cached_property
    def background(self) -> Background:
        """The clips that methods with ``background=train`` compare with: never those that are explained."""
        chosen = self.recipe.data.background
        folds = chosen or tuple(f for f in self.data.fold_names() if f not in self.recipe.data.folds)
        examples = self.data.folds(folds).examples if folds else ()
        explained = {e.path for e in self.examples}
        found = [BackgroundSound(e.path.resolve(), e.label) for e in examples if e.path not in explained]
        if not found:
            raise ParameterError(
                "background=train needs clips that are not explained; give data.folds and data.background, or "
                "background=FOLDER"
            )
        return Background(TRAIN, tuple(found), peak=self.recipe.data.peak)


def _laid_out(classifier: Classifier) -> Classifier:
    """The study's own copy, its convolutions in the order of memory in which they run faster; nothing else changes."""
    for module in classifier.network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return classifier


def check_plan(plan: Plan) -> None:
    """Refuse a plan if a condition, a domain or a class does not work with a classifier; the first is named."""
    for what, path in (("labels", plan.recipe.data.labels), ("noises", plan.recipe.data.noises)):
        if path and not Path(path).exists():
            raise ParameterError(f"data.{what}: {path} is not there; give a file or folder that is, or leave it out")
    _check_labels(plan)
    _check_conditions(plan)
    for name, classifier in plan.classifiers.items():
        for condition in plan.recipe.conditions:
            for label in {plan.examples[i].label for i in plan.clips_of(condition)}:
                plan.target_of(name, label, condition)
        _check_domains(plan, name, classifier)


def _check_labels(plan: Plan) -> None:
    conditions = plan.recipe.conditions
    for label in (*plan.recipe.data.names, *(w for c in conditions.values() for w in c.without)):
        if label not in plan.data.labels and label not in {c.target for c in conditions.values()}:
            raise UnknownNameError(f"class of {plan.data.name}", label, plan.data.labels)
    for condition in conditions:
        if not any(plan.clips_of(condition, name) for name in plan.classifiers):
            raise ParameterError(
                f"condition {condition!r} of the study has no clip; check its without and snr_db, and at data.alone"
            )


def _check_conditions(plan: Plan) -> None:
    """Every condition can be made of one of its first clips, and what needs the truth has it."""
    oracles = [a.name for a in plan.runs if a.method in ORACLES]
    for name, prepare in plan.preparations().items():
        failure: OtoscopeError | None = None
        for i in plan.clips_of(name)[:5]:
            try:
                clip = prepare(plan.examples[i], plan.names[i])
            except OtoscopeError as error:  # the clip's own, or the condition's: another clip shows which
                failure = error
                continue
            if oracles and clip.true is None:
                raise ParameterError(
                    f"method {oracles[0]!r} of the study needs clips with a known stem, and {clip.name} under "
                    f"{name!r} has none; use mixtures, scenes or a planted cue, or leave it out"
                )
            break
        else:
            if failure is not None:
                raise failure


def _check_domains(plan: Plan, name: str, classifier: Classifier) -> None:
    for run in plan.runs_of(name):
        if dict(run.request.domain.settings).get("source") == "stems":
            continue  # depends on the files of each clip
        try:
            explained, scored = (
                r.domain.grid(classifier.sample_rate, classifier).shape for r in (run.request, run.scored)
            )
        except OtoscopeError as error:
            raise UnsupportedError(
                f"classifier {name!r} does not support the domain {run.domain!r}: {error}"
            ) from error
        if explained != scored:
            raise ParameterError(
                f"method {run.name!r} of the study is explained on a grid of {explained} and scored on one of {scored}; "
                "scored_in needs the same grid"
            )

"""What a study comes down to: methods in domains, chunks of clips, and what they cost in passes."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from otoscope.attribution.background import background_sounds, choose
from otoscope.attribution.run import fitting_domains
from otoscope.audio import close_audio, open_audio, write_wav
from otoscope.classifiers import Classifier, load_classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.core.files import write_text
from otoscope.core.runtime import resolve_device
from otoscope.datasets import Dataset, Example, load_dataset
from otoscope.explanation.listen import probabilities
from otoscope.explanation.request import Request, make_request
from otoscope.masks import MaskSpec, parse_mask
from otoscope.studies.clips import Preparation, choose_clips, clip_names, known_truth, stem_alone
from otoscope.studies.recipe import GIVEN, GridMethod, StudyRecipe
from otoscope.surgery import preserve_state

TRAIN = "train"
PER_CLASS = 2  # of methods that do not say
ITSELF = MaskSpec("itself", {})
BACKGROUND = "background.csv"


@dataclass(frozen=True)
class Asked:
    """A method in a domain.

    Parameters
    ----------
    name : str
        The recipe's.
    method, domain : str
        As they are written into rows.
    request : Request
        For oracles, the method is their name and has no settings.
    masks : tuple of MaskSpec
    scored : Request
        Whose domain is scored; mostly the same.
    passes : int
        Of the method, for each clip, at most.
    precision : str
        Of the network while the method asks.
    classifiers : tuple of str
        That are asked.
    trained : bool
        Whether it compares with clips of the data set.
    """

    name: str
    method: str
    domain: str
    request: Request
    masks: tuple[MaskSpec, ...]
    scored: Request
    passes: int
    precision: str
    classifiers: tuple[str, ...]
    trained: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of method and domain, also those that are defaults today; a list of background clips has no name."""
        own = {k: v for k, v in dict(self.request.method_settings).items() if not str(v).endswith(BACKGROUND)}
        return {
            "method": own,
            "domain": dict(self.request.domain.settings),
            "scored": dict(self.scored.domain.settings),
        }


@dataclass(frozen=True)
class Chunk:
    """Clips of one condition, heard by one classifier; by number in the plan's examples."""

    condition: str
    classifier: str
    clips: tuple[int, ...]


class Plan:
    """All that a study will do.

    Parameters
    ----------
    recipe : StudyRecipe
    out : Path
        The study's folder.
    device : str

    Raises
    ------
    OtoscopeError
        For anything that the recipe asks for and cannot be.
    """

    def __init__(self, recipe: StudyRecipe, out: Path, device: str = "auto"):
        self.recipe, self.out, self.device = recipe, out, resolve_device(device)
        self.data: Dataset = load_dataset(recipe.data.name, recipe.data.root)
        self.examples: tuple[Example, ...] = choose_clips(self.data, recipe.data)
        self.names = clip_names(self.examples)
        self._alone: dict[tuple[str, int], float] = {}
        room = self._background_room() if self.needs_background else out
        self.asked: list[Asked] = [a for name, m in recipe.methods.items() for a in _in_domains(recipe, room, name, m)]
        if not self.asked:
            raise ParameterError("no method of the study can be asked in any of its domains")
        _refuse_twins(self.asked)

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
                f"classifier {classifier!r} of the study has no class {self.recipe.data.names.get(name, name)!r} to explain; say "
                f"what it calls it (data.names: {{{name}: ...}}), or explain what it predicts (target: predicted)"
            )
        return number

    def number_of(self, classifier: str, label: str) -> int | None:
        """The classifier's number of a class of the data set, if it knows it."""
        found = class_numbers([self.recipe.data.names.get(label, label)], self.classifiers[classifier], optional=True)
        return found[0] if found else None

    def clips_of(self, condition: str, classifier: str | None = None) -> list[int]:
        """Numbers of the clips that take part in a condition, and whose sound alone a classifier knows."""
        chosen = self._under(condition)
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
            return float(probabilities(stem, model)[wanted])

    def _under(self, condition: str) -> list[int]:
        wanted = self.recipe.conditions[condition]
        chosen = [i for i, e in enumerate(self.examples) if e.label not in wanted.without]
        return [i for i in chosen if self._snr_db[i] in wanted.snr_db] if wanted.snr_db else chosen

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

    def asked_of(self, classifier: str) -> list[Asked]:
        """Methods in domains that a classifier is asked by."""
        return [a for a in self.asked if classifier in a.classifiers]

    def passes_of(self, asked: Asked) -> int:
        """Passes through the classifier for one clip, at most: the method's and those of all its masks."""
        measures = self.recipe.measures
        masks = len(asked.masks) * ((4 if measures.heard else 2) + (4 if measures.controls else 0))
        curves = 2 * (measures.curve_steps + 1) if measures.curve_steps else 0
        return asked.passes + masks + curves + len(measures.top)

    def rows(self) -> int:
        """How many rows there will be."""
        return sum(len(c.clips) * sum(len(a.masks) for a in self.asked_of(c.classifier)) for c in self.chunks())

    def background(self) -> tuple[Example, ...]:
        """The clips that methods with ``background=train`` compare with: never those that are explained.

        Raises
        ------
        ParameterError
            If there are none.
        """
        chosen = self.recipe.data.background
        folds = chosen or tuple(f for f in self.data.fold_names() if f not in self.recipe.data.folds)
        examples = self.data.folds(folds).examples if folds else ()
        names = {e.path for e in self.examples}
        found = tuple(e for e in examples if e.path not in names)
        if not found:
            raise ParameterError(
                "background=train needs clips that are not explained; give data.folds and data.background, or "
                "background=FOLDER"
            )
        return found

    def _background_room(self) -> Path:
        """A folder with the list of background clips, which goes when the plan goes."""
        room = Path(tempfile.mkdtemp(prefix="otoscope-"))
        weakref.finalize(self, shutil.rmtree, room, ignore_errors=True)
        _write_sounds(room, [(str(e.path.resolve()), e.label) for e in self.background()])
        if self.recipe.data.peak:
            self._peaked(room)
        return room

    def _peaked(self, room: Path) -> None:
        """The clips that can be chosen, with their peaks at full scale as the explained ones have."""
        counts = [
            re.search(r"per_class=(\d+)", m.method) for m in self.recipe.methods.values() if _wants_train(m.method)
        ]
        most = max(int(found[1]) if found else PER_CLASS for found in counts)
        rows = []
        for i, sound in enumerate(choose(background_sounds(room / BACKGROUND), most, self.recipe.seed)):
            source = open_audio(sound.path)
            samples = source.read(0, source.frames)
            write_wav(room / f"{i:05d}.wav", [samples / max(float(np.abs(samples).max()), 1e-8)], source.sample_rate)
            close_audio(source)
            rows.append((f"{i:05d}.wav", sound.label))
        _write_sounds(room, rows)

    @property
    def needs_background(self) -> bool:
        """Whether a method compares with clips of the data set."""
        return any(_wants_train(m.method) for m in self.recipe.methods.values())


def _laid_out(classifier: Classifier) -> Classifier:
    """The study's own copy, its convolutions in the order of memory in which they run faster; nothing else changes."""
    for module in classifier.network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return classifier


def _write_sounds(room: Path, rows: Sequence[tuple[str, str]]) -> None:
    """The list of background clips: path and class."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "label"), *rows])
    write_text(room / BACKGROUND, text.getvalue())


def _wants_train(spec: str) -> bool:
    return f"background={TRAIN}" in spec.replace(" ", "")


def _in_domains(recipe: StudyRecipe, room: Path, name: str, method: GridMethod) -> list[Asked]:
    found = []
    for domain in method.domains or recipe.domains:
        try:
            found.append(_asked(recipe, room, name, method, domain))
        except UnsupportedError as error:
            if recipe.unfit == "refuse":
                raise UnsupportedError(f"{error}; or let the study leave such pairs out (unfit: leave_out)") from error
    return found


def _asked(recipe: StudyRecipe, room: Path, name: str, method: GridMethod, domain: str) -> Asked:
    specs = method.masks or recipe.masks
    masks: tuple[MaskSpec, ...] = tuple(parse_mask(_with_ties(recipe, spec)) for spec in specs)
    said, given, passes = _method(recipe, room, name, method, domain)
    request = make_request(given, domain, str(masks[0]), None, recipe.seed, recipe.batch_size)
    scored = request
    if method.scored_in:
        scored = make_request(given, method.scored_in, str(masks[0]), None, recipe.seed, recipe.batch_size)
    if said in GIVEN:
        request, scored = (dataclasses.replace(r, method=said, method_settings={}) for r in (request, scored))
        masks = (ITSELF,)
    who = method.classifiers or tuple(recipe.classifiers)
    return Asked(
        name,
        said,
        request.spec["domain"],
        request,
        masks,
        scored,
        passes,
        method.precision,
        who,
        _wants_train(method.method),
    )


def _method(recipe: StudyRecipe, room: Path, name: str, method: GridMethod, domain: str) -> tuple[str, Any, int]:
    """How it is written into rows, how it is asked for, and its passes."""
    spec = method.method or name
    if spec in GIVEN:
        return spec, "random", 0
    entry, settings = registry.parse("method", spec)
    _fits(entry.name, registry.parse("domain", domain)[0].name)
    if "transposed_cam" in recipe.compat and "transposed" in settings:
        settings["transposed"] = True
    said = registry.format_spec(entry, settings)
    if settings.get("background") == TRAIN:
        settings = {**settings, "background": str(room / BACKGROUND)}
    return said, (entry.name, settings), int(entry.facts.get("passes", lambda **_: 1)(**settings))


def _refuse_twins(asked: Sequence[Asked]) -> None:
    """Two entries whose rows nobody could tell apart."""
    seen: dict[tuple[str, str, str], str] = {}
    for a in asked:
        for classifier in a.classifiers:
            key = (a.method, a.domain, classifier)
            if key in seen:
                raise ParameterError(
                    f"methods {seen[key]!r} and {a.name!r} of the study both ask {a.method} in {a.domain} of {classifier!r}; "
                    "their rows could not be told apart: put their masks together, or let one of them have another setting"
                )
            seen[key] = a.name


def _fits(method: str, domain: str) -> None:
    fitting = fitting_domains(method)
    if domain not in fitting:
        raise UnsupportedError(
            f"the method {method!r} cannot be asked in the domain {domain!r}; it works in {', '.join(fitting)}"
        )


def _with_ties(recipe: StudyRecipe, spec: str) -> str:
    """A mask with audiointerp's way of counting ties, where that is asked for and the mask counts cells."""
    name = spec.split(",")[0]
    counts = any(part == "topk" for part in name.split(":"))
    return f"{spec},ties=quantile" if "quantile_ties" in recipe.compat and counts and "ties=" not in spec else spec

"""The methods of a study, each in one domain, and the explainers that only studies have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otoscope.attribution import Problem, Result, attribute
from otoscope.attribution.run import check_domain
from otoscope.classifiers import Inspected
from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.datasets.backgrounds import Background
from otoscope.explanation.describe import LEVEL
from otoscope.explanation.pipeline import ITSELF
from otoscope.explanation.request import Request, make_request
from otoscope.masks import MaskSpec, parse_mask
from otoscope.studies.clips import digest, ideal_values, truth_on_grid
from otoscope.studies.recipe import GIVEN, GridMethod, StudyRecipe

TRAIN = "train"
Make = Callable[[], Background]


@dataclass(frozen=True)
class MethodRun:
    """A method of a study in one domain.

    Parameters
    ----------
    name : str
        The recipe's.
    method, domain : str
        Their specs, as rows have them.
    gives : {"attributions", "mask", "sound"}
        What the method produces; oracles and ``control:ones`` produce masks.
    request : Request
        For oracles, the method is their name and has no settings.
    masks : tuple of MaskSpec
        Those of the study; one that stands for itself where the method produces masks or sound.
    scored : Request
        Whose domain is scored; usually the same.
    passes : int
        Of the method, for each clip, at most.
    precision : str
        Of the network while the method runs.
    classifiers : tuple of str
        The classifiers that are explained.
    """

    name: str
    method: str
    domain: str
    gives: str
    request: Request
    masks: tuple[MaskSpec, ...]
    scored: Request
    passes: int
    precision: str
    classifiers: tuple[str, ...]

    @property
    def background(self) -> Any:
        """What the method compares with: a `Background` of clips of the data set, a path, or None."""
        return dict(self.request.method_settings).get("background")

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of method and domain, defaults included; clips of the data set are not a setting."""
        own = {k: v for k, v in dict(self.request.method_settings).items() if not isinstance(v, Background)}
        return {
            "method": own,
            "domain": dict(self.request.domain.settings),
            "scored": dict(self.scored.domain.settings),
        }


def method_runs(recipe: StudyRecipe, background: Make) -> list[MethodRun]:
    """All methods of a study in all their domains; ``background`` is called where a method has ``background=train``.

    An `OtoscopeError` if a method does not support a domain (unless the study leaves such pairs out), or two runs have the same
    rows.
    """
    runs = []
    for name, method in recipe.methods.items():
        for domain in method.domains or recipe.domains:
            try:
                runs.append(_run(recipe, background, name, method, domain))
            except UnsupportedError as error:
                if recipe.unfit == "refuse":
                    raise UnsupportedError(
                        f"{error}; or let the study leave such pairs out (unfit: leave_out)"
                    ) from error
    if not runs:
        raise ParameterError("no method of the study supports any of its domains")
    _refuse_twins(runs)
    return runs


def _run(recipe: StudyRecipe, background: Make, name: str, method: GridMethod, domain: str) -> MethodRun:
    masks: tuple[MaskSpec, ...] = tuple(parse_mask(_with_quirks(recipe, s)) for s in method.masks or recipe.masks)
    spec = method.method or name
    if spec in GIVEN:
        gives, asked, passes = "mask", "random", 0
        masks, wanted = (ITSELF,), str(masks[0])
    else:
        gives, asked, passes = _settings(recipe, background, spec, domain)
        masks = (LEVEL,) if gives == "sound" else masks
        wanted = str(masks[0])
    request, scored = (
        make_request(asked, d, wanted, None, recipe.seed, recipe.batch_size)
        for d in (domain, method.scored_in or domain)
    )
    if gives == "mask":
        request, scored = (dataclasses.replace(r, method=spec, method_settings={}) for r in (request, scored))
    return MethodRun(
        name=name,
        method=spec if gives == "mask" else request.spec["method"],
        domain=request.spec["domain"],
        gives=gives,
        request=request,
        masks=masks,
        scored=scored if method.scored_in else request,
        passes=passes,
        precision=method.precision,
        classifiers=method.classifiers or tuple(recipe.classifiers),
    )


def _settings(recipe: StudyRecipe, background: Make, spec: str, domain: str) -> tuple[str, Any, int]:
    """What a registered method gives, the method with its settings, and its passes."""
    entry, settings = registry.parse("method", spec)
    check_domain(entry.name, registry.parse("domain", domain)[0].name)
    if "transposed_cam" in recipe.compat and "transposed" in settings:
        settings["transposed"] = True
    if settings.get("background") == TRAIN:
        settings["background"] = background()
    passes = int(entry.facts.get("passes", lambda **_: 1)(**settings))
    return str(entry.facts.get("gives", "attributions")), (entry.name, settings), passes


def _refuse_twins(runs: Sequence[MethodRun]) -> None:
    """Two entries whose rows would be the same."""
    seen: dict[tuple[str, str, str], str] = {}
    for run in runs:
        for classifier in run.classifiers:
            key = (run.method, run.domain, classifier)
            if key in seen:
                raise ParameterError(
                    f"methods {seen[key]!r} and {run.name!r} of the study are identical ({run.method}, {run.domain}, "
                    f"{classifier}); merge their masks or change a setting"
                )
            seen[key] = run.name


QUIRKS = {"quantile_ties": ("topk", "ties=quantile"), "raw_sigmoid": ("sigmoid", "scale=raw")}


def _with_quirks(recipe: StudyRecipe, spec: str) -> str:
    """A mask in audiointerp's form, where the study has that quirk, the mask has such a form and does not state another."""
    for quirk, (part, option) in QUIRKS.items():
        applies = part in spec.split(",")[0].split(":") and f"{option.split('=')[0]}=" not in spec
        if quirk in recipe.compat and applies:
            spec = f"{spec},{option}"
    return spec


# --- explainers of studies --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IdealMask:
    """The mask of the ground truth, or one that keeps everything, of the clips of a problem."""

    name: str
    clips: Sequence[Any]
    gives: str = "mask"

    def explain(self, problem: Problem) -> Result:
        """Masks ``(batch, freq, frame)``."""
        truths = [truth_on_grid(clip, problem.inspected, i) for i, clip in enumerate(self.clips)]
        values = [ideal_values(self.name, truth, problem.shape) for truth in truths]
        return Result(torch.from_numpy(np.stack(values)))


@dataclass(frozen=True)
class BlindExplainer:
    """A method that does not depend on the sound, with random numbers of its own for each clip, so that means even them out."""

    run: MethodRun
    clips: Sequence[Any]
    gives: str = "attributions"

    @property
    def name(self) -> str:
        """As records name it."""
        return self.run.method

    def explain(self, problem: Problem) -> Result:
        """Values ``(batch, freq, frame)``."""
        values = []
        for i, clip in enumerate(self.clips):
            seed = int(digest(problem.seed, clip.name, self.run.domain)[:8], 16) % 2**31
            inspected = problem.inspected
            domain = self.run.request.domain.bind([clip.sound])
            alone = Inspected(inspected.classifier, domain, inspected.waveform[i : i + 1])
            one = Problem(alone, problem.targets[i : i + 1], seed, problem.batch_size)
            values.append(attribute(one, self.run.request.method, self.run.request.method_settings).values)
        return Result(torch.cat(values))

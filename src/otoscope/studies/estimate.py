"""What a study will cost: passes, and seconds from a rehearsal of every method on every classifier."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from otoscope.attribution import Problem
from otoscope.classifiers import Classifier, Inspected
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, UnsupportedError
from otoscope.core.records import Clip
from otoscope.datasets.backgrounds import SILENCE, Background
from otoscope.explanation.explainers import AttributionExplainer, SoundExplainer, generate
from otoscope.studies.clips import StudyClip
from otoscope.studies.methods import MethodRun
from otoscope.studies.plan import Plan
from otoscope.studies.sanity import attributions_of, sanity_left
from otoscope.studies.store import Jobs
from otoscope.surgery import preserve_state

FEW = 4  # a rehearsal's whole-numbered settings: samples, steps, masks


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Parameters
    ----------
    passes, rows, rows_left : int
        Numbers of passes left, of rows in all, and of rows left.
    seconds : float
        On one process; an upper bound where methods stop early.
    per_method : list of dict
        Classifier, method, domain, passes and seconds for one clip with all its masks.
    workers : int
        Number of parallel processes.
    """

    passes: int
    rows: int
    rows_left: int
    seconds: float
    per_method: list[dict[str, Any]]
    workers: int

    def lines(self) -> list[str]:
        """For people."""
        share = max(1, self.workers)
        return [
            *(
                f"{row['classifier']}, {row['method']} in {row['domain']}: {row['passes']} passes, {row['seconds']:.2f} s a clip"
                for row in sorted(self.per_method, key=lambda r: -r["seconds"])[:12]
            ),
            f"{self.rows} rows, {self.rows_left} of them to do: at most {self.passes:,} passes, about "
            f"{_spoken(self.seconds / share)}" + (f" with {share} workers" if share > 1 else ""),
        ]


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def rehearse(plan: Plan, jobs: Jobs) -> Estimate:
    """Run every method on every classifier in every domain once, cheaply: what is not supported is found, and passes are timed.

    The first that is not supported raises an `OtoscopeError` with the names of classifier, method and domain.
    """
    seconds = plan.recipe.data.seconds or 5.0
    per_method: list[dict[str, Any]] = []
    costs: dict[tuple[str, str, str], tuple[int, float, int, float]] = {}
    for name, classifier in plan.classifiers.items():
        frames = max(classifier.minimum_length, round(seconds * classifier.sample_rate))
        noise = np.random.default_rng(0).normal(0, 0.05, (1, frames)).astype(np.float32)
        clip = StudyClip("rehearsal", "", "", "", Clip(noise, classifier.sample_rate), None, None, float("nan"))
        with preserve_state(classifier):
            forward = _seconds_a_pass(plan, classifier, noise)
            for run in plan.runs_of(name):
                try:
                    once, each = _rehearsed(plan, name, run, clip)
                except OtoscopeError as error:
                    raise UnsupportedError(f"{run.method} in {run.domain} on {name!r}: {error}") from error
                passes, method = plan.passes_of(run), once + run.passes * each
                cost = method + (passes - run.passes) * forward * 1.2
                costs[name, run.name, run.domain] = passes, cost, run.passes, method
                about = {"classifier": name, "method": run.method, "domain": run.domain}
                per_method.append({**about, "passes": passes, "seconds": cost})
    passes, seconds, left = 0, 0.0, 0
    for chunk, runs in jobs.missing():
        n = len(chunk.clips)
        passes += n
        for run in runs:
            all_passes, cost, _, _ = costs[chunk.classifier, run.name, run.domain]
            passes, seconds, left = passes + n * all_passes, seconds + n * cost, left + n * len(run.masks)
    for name, clips, run in sanity_left(plan, jobs):
        _, _, own_passes, method = costs[name, run.name, run.domain]
        times = clips * attributions_of(plan.recipe.sanity, run)
        passes, seconds = passes + times * own_passes, seconds + times * method
    return Estimate(passes, plan.rows(), left, seconds, per_method, plan.recipe.workers)


def _seconds_a_pass(plan: Plan, classifier: Classifier, noise: np.ndarray) -> float:
    n = min(plan.recipe.batch_size, 8)
    batch = torch.from_numpy(np.repeat(noise, n, 0)).to(classifier.device)
    started = time.perf_counter()
    with torch.no_grad():
        classifier(batch)
    return (time.perf_counter() - started) / n


def _rehearsed(plan: Plan, name: str, run: MethodRun, clip: StudyClip) -> tuple[float, float]:
    """Seconds to analyse a clip, and seconds a pass of a method, with as few passes as it can do with."""
    domain, classifier = run.request.domain, plan.classifiers[name]
    if run.gives == "mask" or dict(domain.settings).get("source") == "stems":  # stems depend on files of each clip
        return 0.0, 0.0
    explainer = plan.explainer(name, run)
    started = time.perf_counter()
    if isinstance(explainer, SoundExplainer):
        generate(explainer.generator, clip.sound, 1, lambda _n: None)
        return 0.0, time.perf_counter() - started
    passes = [0]
    inspected = Inspected(classifier, domain, torch.from_numpy(clip.sound.samples.copy()).to(classifier.device))
    problem = Problem(inspected, torch.zeros(1, dtype=torch.int64, device=classifier.device), plan.recipe.seed, 16)
    problem.tick = lambda n: passes.__setitem__(0, passes[0] + n)
    analysed = time.perf_counter() - started
    replace(cast(AttributionExplainer, explainer), settings=_few(run)).explain(problem)
    return analysed, (time.perf_counter() - started - analysed) / max(1, passes[0])


def _few(run: MethodRun) -> dict[str, Any]:
    """The method's settings with as few samples, steps and masks as it allows, and without background sounds."""
    settings = dict(run.request.method_settings)
    for p in registry.get("method", run.request.method).parameters:
        if p.type is int and isinstance(settings[p.name], int):
            settings[p.name] = max(int(p.low or 0), min(settings[p.name], FEW))
    if isinstance(run.background, Background):
        settings["background"] = SILENCE
    return settings


def warnings_of(plan: Plan) -> list[str]:
    """Reasons not to rely on methods that produce sound, such as an autoencoder tuned to another classifier."""
    found = []
    for name in plan.classifiers:
        for run in plan.runs_of(name):
            explainer = plan.explainer(name, run)
            if isinstance(explainer, SoundExplainer):
                found += [f"{run.method} on {name}: {warning}" for warning in explainer.generator.warnings]
    return list(dict.fromkeys(found))

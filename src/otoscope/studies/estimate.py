"""What a study will cost: passes, and seconds from a rehearsal of every method on every classifier."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otoscope.attribution import Problem, attribute
from otoscope.classifiers import Classifier, Inspected
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, UnsupportedError
from otoscope.core.records import Clip
from otoscope.studies.clips import StudyClip
from otoscope.studies.jobs import Jobs
from otoscope.studies.plan import Asked, Plan
from otoscope.studies.recipe import GIVEN
from otoscope.studies.sanity import attributions_of, sanity_left
from otoscope.surgery import preserve_state

FEW = 4  # a rehearsal's whole-numbered settings: samples, steps, masks


@dataclass(frozen=True)
class Estimate:
    """What is left to do.

    Parameters
    ----------
    passes, rows, rows_left : int
    seconds : float
        On one process; an upper bound where methods stop early.
    per_method : list of dict
        Classifier, method, domain, passes and seconds for one clip with all its masks.
    workers : int
    """

    passes: int
    rows: int
    rows_left: int
    seconds: float
    per_method: list[dict[str, Any]]
    workers: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        found = []
        for row in sorted(self.per_method, key=lambda r: -r["seconds"])[:12]:
            found.append(
                f"{row['classifier']}, {row['method']} in {row['domain']}: {row['passes']} passes, {row['seconds']:.2f} s a clip"
            )
        share = max(1, self.workers)
        found.append(
            f"{self.rows} rows, {self.rows_left} of them to do: at most {self.passes:,} passes, about "
            f"{_spoken(self.seconds / share)}" + (f" with {share} workers" if share > 1 else "")
        )
        return found


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def rehearse(plan: Plan, jobs: Jobs) -> Estimate:
    """Ask every classifier by every method in every domain once, cheaply: what cannot be is found, and passes are timed.

    Raises
    ------
    OtoscopeError
        Of the first that cannot be, with the names of classifier, method and domain.
    """
    seconds = plan.recipe.data.seconds or 5.0
    per_method, costs = [], {}
    for name, classifier in plan.classifiers.items():
        frames = max(classifier.minimum_length, round(seconds * classifier.sample_rate))
        noise = np.random.default_rng(0).normal(0, 0.05, (1, frames)).astype(np.float32)
        clip = StudyClip("rehearsal", "", "", "", Clip(noise, classifier.sample_rate), None, None, float("nan"))
        with preserve_state(classifier):
            forward = _seconds_a_pass(plan, classifier, noise)
            for asked in plan.asked_of(name):
                try:
                    once, each = _ask(plan, classifier, asked, clip)
                except OtoscopeError as error:
                    raise UnsupportedError(f"{asked.method} in {asked.domain} on {name!r}: {error}") from error
                cost = once + asked.passes * each + (plan.passes_of(asked) - asked.passes) * forward * 1.2
                method = once + asked.passes * each
                costs[name, asked.name, asked.domain] = plan.passes_of(asked), cost, asked.passes, method
                per_method.append(
                    {"classifier": name, "method": asked.method, "domain": asked.domain, "passes": plan.passes_of(asked),
                     "seconds": cost}
                )  # fmt: skip
    return _sum(plan, jobs, per_method, costs)


def _sum(
    plan: Plan, jobs: Jobs, per_method: list[dict[str, Any]], costs: dict[Any, tuple[int, float, int, float]]
) -> Estimate:
    passes, seconds, left = 0, 0.0, 0
    for chunk, asked in jobs.missing():
        n = len(chunk.clips)
        passes += n
        for a in asked:
            each = costs[chunk.classifier, a.name, a.domain]
            passes, seconds, left = passes + n * each[0], seconds + n * each[1], left + n * len(a.masks)
    for name, clips, a in sanity_left(plan, jobs):
        times, each = clips * attributions_of(plan.recipe.sanity, a), costs[name, a.name, a.domain]
        passes, seconds = passes + times * each[2], seconds + times * each[3]
    return Estimate(passes, plan.rows(), left, seconds, per_method, plan.recipe.workers)


def _seconds_a_pass(plan: Plan, classifier: Classifier, noise: np.ndarray) -> float:
    n = min(plan.recipe.batch_size, 8)
    batch = torch.from_numpy(np.repeat(noise, n, 0)).to(classifier.device)
    started = time.perf_counter()
    with torch.no_grad():
        classifier(batch)
    return (time.perf_counter() - started) / n


def _ask(plan: Plan, classifier: Classifier, asked: Asked, clip: StudyClip) -> tuple[float, float]:
    """Seconds to take a clip apart, and seconds a pass of a method, with as few passes as it can do with."""
    if asked.method in GIVEN:
        return 0.0, 0.0
    domain = asked.request.domain
    if dict(domain.settings).get("source") == "stems":
        return 0.0, 0.0  # hangs on files of each clip
    entry = registry.get("method", asked.request.method)
    settings = dict(asked.request.method_settings)
    settings |= {
        p.name: max(int(p.low or 0), min(settings[p.name], FEW)) for p in entry.parameters if _counts(p, settings)
    }
    settings |= {"background": "silence"} if str(settings.get("background", "")).endswith(".csv") else {}
    passes = [0]
    started = time.perf_counter()
    inspected = Inspected(classifier, domain, torch.from_numpy(clip.sound.samples.copy()).to(classifier.device))
    inspected.precision = getattr(torch, asked.precision)
    problem = Problem(inspected, torch.zeros(1, dtype=torch.int64, device=classifier.device), plan.recipe.seed, 16)
    problem.tick = lambda n: passes.__setitem__(0, passes[0] + n)
    apart = time.perf_counter() - started
    attribute(problem, entry.name, settings)
    return apart, (time.perf_counter() - started - apart) / max(1, passes[0])


def _counts(parameter: registry.Parameter, settings: dict[str, Any]) -> bool:
    return parameter.type is int and isinstance(settings[parameter.name], int)

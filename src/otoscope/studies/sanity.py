"""Whether the explanations of a study depend on what they should: its own small table, for a few clips.

For each method in each domain and each classifier: parameters made random from the output down, other seeds, a little noise,
a shift in time. Each pair is stored when it is done, so that a run can be resumed.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from otoscope.attribution import Problem
from otoscope.classifiers import Inspected
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError
from otoscope.explanation.explainers import CellExplainer
from otoscope.metrics.sanity import UNCHANGED, cascade, seed_agreement, seed_spread
from otoscope.metrics.sensitivity import noise_sensitivity, shift_sensitivity
from otoscope.recipes.runs import write_json
from otoscope.studies.clips import digest
from otoscope.studies.methods import MethodRun
from otoscope.studies.plan import Chunk, Plan
from otoscope.studies.recipe import GridSanity
from otoscope.studies.store import Jobs
from otoscope.studies.worker import Group, Worker
from otoscope.surgery import preserve_state

FOLDER, TABLE = "sanity", "sanity.json"
DRAWS = 4
Row = dict[str, Any]


def run_sanity(plan: Plan, jobs: Jobs, log: Callable[[str], object]) -> list[Row]:
    """A row of each classifier, method and domain: means over clips, and whether the explanation ignores the network.

    Also written as ``sanity.json``; ``log`` is called with a line for each row that was computed.
    """
    worker, rows = Worker(plan), []
    for name, classifier in plan.classifiers.items():
        groups: list[Group] | None = None
        for run, chunk, file in _pairs(plan, jobs, name):
            row = _stored(file)
            if row is None:
                with preserve_state(classifier):
                    groups = groups if groups is not None else worker.groups(chunk)[0]
                    about = {"classifier": name, "method": run.method, "domain": run.domain}
                    row = {**about, **_checked(plan, run, groups)}
                write_json(file, row)
                log(f"sanity of {run.method} in {run.domain} on {name}")
            rows.append(row)
    write_json(plan.out / TABLE, rows)
    return rows


def sanity_left(plan: Plan, jobs: Jobs) -> Iterator[tuple[str, int, MethodRun]]:
    """What is not stored yet: classifier, number of clips, method in a domain."""
    for name in plan.classifiers if plan.recipe.sanity.clips else ():
        for run, chunk, file in _pairs(plan, jobs, name):
            if _stored(file) is None:
                yield name, len(chunk.clips), run


def attributions_of(sanity: GridSanity, run: MethodRun) -> int:
    """How often a method is run about each clip."""
    still = registry.get("method", run.request.method).facts.get("deterministic", False)
    itself = 1  # each comparison needs the attribution of the clip as it is, too
    stages = sanity.stages + itself if sanity.stages else 0
    return stages + (0 if still else sanity.seeds) + DRAWS + itself + 2 + itself


def _pairs(plan: Plan, jobs: Jobs, name: str) -> Iterator[tuple[MethodRun, Chunk, Path]]:
    """The methods in domains that a classifier is run by, of which clips, and where the row of each lies."""
    condition = next(iter(plan.recipe.conditions))
    chunk = Chunk(condition, name, tuple(_spread(plan, plan.clips_of(condition, name))))
    for run in plan.runs_of(name):
        if run.gives == "attributions":
            fingerprint = digest(jobs.fingerprint(chunk, run), plan.recipe.sanity.model_dump())
            yield run, chunk, plan.out / FOLDER / f"{fingerprint[:32]}.json"


def _spread(plan: Plan, clips: list[int]) -> list[int]:
    """Some clips, one class after another."""
    turns: Counter[str] = Counter()
    order = []
    for i in clips:
        label = plan.examples[i].label
        turns[label] += 1
        order.append((turns[label], label, i))
    return sorted(i for _, _, i in sorted(order)[: plan.recipe.sanity.clips])


def _stored(file: Path) -> Row | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and {"classifier", "method", "clips"} <= set(found) and not found.get("error")
    return found if whole else None


def _checked(plan: Plan, run: MethodRun, groups: list[Group]) -> Row:
    """The numbers of one pair; where it fails, the reason."""
    try:
        found = [_of_group(plan, run, group) for group in groups]
    except OtoscopeError as error:
        return {"clips": 0, "error": " ".join(str(error).split())}
    row: Row = {"clips": sum(len(g.clips) for g in groups), "error": ""}
    for key in found[0] if found else ():
        row[key] = _mean(np.concatenate([np.asarray(f[key], float) for f in found]))
    row["unchanged"] = bool(row.get("randomisation_similarity", math.nan) >= UNCHANGED)
    return row


def _mean(values: np.ndarray) -> Any:
    """Mean over clips of what is known; of stages, one each."""
    if values.ndim == 2:
        return [_mean(column) for column in values.T]
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _of_group(plan: Plan, run: MethodRun, group: Group) -> Row:
    sanity, classifier = plan.recipe.sanity, group.batch.classifier
    waveforms = group.batch.waveforms(group.batch.windows()[0])
    ask = _asker(plan, run, group)
    out: Row = {}
    if sanity.stages:
        found = cascade(
            lambda: ask(waveforms, plan.recipe.seed),
            classifier.network,
            sanity.stages,
            plan.recipe.seed,
            run=lambda: classifier(waveforms),
        )
        out["randomisation_similarity"] = found.similarity
        out["randomisation_stages"] = found.similarities["rank"].T  # (clip, stage)
    entry = registry.get("method", run.request.method)
    if entry.facts.get("deterministic"):
        out |= {"seed_agreement": np.ones(len(group.clips)), "seed_spread": np.zeros(len(group.clips))}
    else:
        drawn = np.stack([ask(waveforms, plan.recipe.seed + i) for i in range(sanity.seeds)], 1)
        out |= {"seed_agreement": [seed_agreement(v) for v in drawn], "seed_spread": [seed_spread(v) for v in drawn]}
    return out | _steadiness(plan, run, group, waveforms)


def _steadiness(plan: Plan, run: MethodRun, group: Group, waveforms: torch.Tensor) -> Row:
    """How much attributions change with a little noise and a shift; only where cells stay where they are."""
    sanity, classifier, seed = plan.recipe.sanity, group.batch.classifier, plan.recipe.seed
    nothing = [math.nan] * len(group.clips)
    domain = run.request.domain
    if not registry.get("domain", domain.name).facts["fixed_cells"]:
        return {"noise_sensitivity": nothing, "shift_sensitivity": nothing}
    times = domain.grid(waveforms.shape[-1], classifier).times
    frame = float(times[1] - times[0]) * classifier.sample_rate if len(times) > 1 else math.nan
    steps = round(sanity.shift_ms / 1000 * classifier.sample_rate / frame) if frame > 0 else 0
    fits = 0 < steps < len(times) // 2
    noise, shift = [], []
    for i in range(len(group.clips)):
        wave = waveforms[i].cpu().numpy()

        def of(waves: np.ndarray, i: int = i) -> np.ndarray:
            ask = _asker(plan, run, group.part(i), len(waves))
            return ask(torch.from_numpy(waves).to(waveforms), seed)

        noise.append(noise_sensitivity(of, wave, sanity.noise_db, DRAWS, seed)[1])
        shift.append(shift_sensitivity(of, wave, frame, (-steps, steps))[1] if fits else math.nan)
    return {"noise_sensitivity": noise, "shift_sensitivity": shift}


def _asker(plan: Plan, run: MethodRun, group: Group, repeats: int = 1) -> Callable[[torch.Tensor, int], np.ndarray]:
    """Waveforms and a seed -> attributions ``(clip, freq, frame)`` for the group's targets, each repeated so many times."""
    name = next(n for n, c in plan.classifiers.items() if c is group.batch.classifier)
    # in float32: what a random network answers differs so little that bfloat16 would round it away
    explainer = cast(CellExplainer, plan.explainer(name, replace(run, precision="float32")))
    numbers = torch.tensor([t.index for t in group.batch.targets for _ in range(repeats)])

    def ask(waveforms: torch.Tensor, seed: int) -> np.ndarray:
        domain = run.request.domain.bind([c.sound for c in group.clips])
        inspected = Inspected(group.batch.classifier, domain, waveforms)
        problem = Problem(inspected, numbers.to(waveforms.device), seed, plan.recipe.batch_size)
        return explainer.explain(problem).values.cpu().numpy()

    return ask

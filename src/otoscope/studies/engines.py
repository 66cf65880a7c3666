"""Engines: this process, or several side by side; a process that dies loses nothing but its unfinished chunk."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from otoscope.core.errors import OtoscopeError
from otoscope.explanation.explainers import Progress
from otoscope.studies.methods import MethodRun
from otoscope.studies.plan import Chunk, Plan
from otoscope.studies.recipe import StudyRecipe
from otoscope.studies.store import Jobs
from otoscope.studies.worker import Worker
from otoscope.surgery import preserve_state

ATTEMPTS = 3


def run_chunks(plan: Plan, jobs: Jobs, tick: Progress) -> None:
    """Make every part that is missing."""
    if plan.recipe.workers == 0:
        worker = Worker(plan, tick)
        for chunk, runs in jobs.missing():
            work_on(worker, jobs, chunk, runs)
    else:
        _side_by_side(plan, jobs, tick)


def work_on(worker: Worker, jobs: Jobs, chunk: Chunk, runs: Sequence[MethodRun]) -> None:
    """Make the given parts of one chunk, one after another."""
    with preserve_state(worker.plan.classifiers[chunk.classifier]):
        groups, lost = worker.groups(chunk)
        for run in runs:
            jobs.store.write(
                jobs.fingerprint(chunk, run), worker.rows(chunk, run, groups, lost), jobs.of_clip(chunk, run)
            )


_here: dict[str, Any] = {}  # what a worker process keeps between chunks


def _begin(recipe: StudyRecipe, out: Path, device: str) -> None:
    torch.set_num_threads(recipe.threads or 1)
    try:
        plan = Plan(recipe, out, device)
        _here["jobs"], _here["worker"] = Jobs(plan), Worker(plan)
    except OtoscopeError as error:  # raised in here, it would pass for a process that died
        _here["error"] = error


def _work(chunk: Chunk, names: Sequence[int]) -> int:
    """Work on one chunk in a worker process; the passes that it took."""
    if "error" in _here:
        raise _here["error"]
    jobs, worker = _here["jobs"], _here["worker"]
    done = [0]
    worker.progress = lambda n: done.__setitem__(0, done[0] + n)
    work_on(worker, jobs, chunk, [worker.plan.runs[i] for i in names])
    return done[0]


def _side_by_side(plan: Plan, jobs: Jobs, tick: Progress) -> None:
    """Worker processes; the chunk of one that dies is started again, a few times."""
    deaths = 0
    left = [(chunk, [plan.runs.index(run) for run in runs]) for chunk, runs in jobs.missing()]
    while left:
        try:
            _round(plan, left, tick)
        except BrokenProcessPool:
            deaths += 1
            if deaths >= ATTEMPTS:
                raise OtoscopeError(
                    f"worker processes died {deaths} times (out of memory?); what is done is kept: run the study again with "
                    "fewer workers or a smaller batch_size"
                ) from None
        before = len(left)
        left = [(chunk, [plan.runs.index(run) for run in runs]) for chunk, runs in jobs.missing()]
        if len(left) < before:
            deaths = 0


def _round(plan: Plan, left: Sequence[tuple[Chunk, list[int]]], tick: Progress) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (plan.recipe, plan.out, str(plan.device))
    with ProcessPoolExecutor(min(plan.recipe.workers, len(left)), context, _begin, arguments) as pool:
        futures = [pool.submit(_work, chunk, names) for chunk, names in left]
        try:
            for future in as_completed(futures):
                tick(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

"""A grid study from its recipe to its table of rows: planned, rehearsed, run by one process or several, resumed."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from tqdm import tqdm

from otoscope.core.files import check_writable, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, reserve, write_json
from otoscope.studies.engines import run_chunks
from otoscope.studies.estimate import Estimate, rehearse, warnings_of
from otoscope.studies.plan import Plan, check_plan
from otoscope.studies.recipe import StudyRecipe
from otoscope.studies.sanity import run_sanity
from otoscope.studies.store import Jobs

Log = Callable[[str], object]


def run_study(
    recipe: StudyRecipe,
    device: str = "auto",
    dry_run: bool = False,
    extend: bool = False,
    log: Log = lambda _line: None,
) -> dict[str, Any]:
    """Explain clips by every method, in every domain, under every mask and condition, and write a row of numbers of each.

    Finished rows are kept: run the study again to resume it. A folder that holds another study is refused, unless
    it is to be extended: then rows that both have in common are kept.

    Parameters
    ----------
    recipe : StudyRecipe
        Recipe of the study.
    device : {"auto", "cpu", "cuda"}
        Where the classifiers run.
    dry_run : bool
        Only check the recipe and estimate passes and time.
    extend : bool
        Whether a folder with another version of the study is extended; rows that both share are kept.
    log : callable
        Called with a line for each step.

    Returns
    -------
    dict
        What ``study.json`` holds, with ``folder``; of a dry run ``estimate`` alone.

    Raises
    ------
    OtoscopeError
        If the recipe is impossible, or the folder is another study's.

    Examples
    --------
    >>> recipe = StudyRecipe(
    ...     data={"name": "scenes,clips=2,seconds=1,sample_rate=32000,folds=1,kinds=dog_bark+rain", "root": "few", "seconds": 1},
    ...     classifiers={"mn": {"model": "esc10-mn"}}, methods={"energy": {}, "random": {}}, out="tiny",
    ... )
    >>> run_study(recipe)["rows"]
    4
    """
    out = out_folder(recipe, "study").resolve()
    if not extend:
        ensure_same_recipe(out, recipe, what="study")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    plan = Plan(recipe, out, device)
    check_plan(plan)
    jobs = Jobs(plan)
    if not dry_run:
        check_writable(out)
    estimate = rehearse(plan, jobs)
    for line in (*estimate.lines(), *warnings_of(plan)):
        log(line)
    if dry_run:
        return {"estimate": to_jsonable(asdict(estimate)), "folder": str(out)}
    reserve(out, recipe)
    return _run(plan, jobs, estimate, log)


def _run(plan: Plan, jobs: Jobs, estimate: Estimate, log: Log) -> dict[str, Any]:
    started = time.perf_counter()
    fingerprints = jobs.fingerprints()
    write_text(plan.out / "parts.json", json.dumps([jobs.store.file(s).name for s in fingerprints], indent=0) + "\n")
    with tqdm(total=estimate.passes, desc="studying", unit="pass", unit_scale=True, disable=None, delay=2) as bar:
        run_chunks(plan, jobs, bar.update)
    table = jobs.store.merge(fingerprints)
    failed = sum(status == "failed" for status in table.column("status").to_pylist())
    log(f"{table.num_rows} rows, {failed} of them failures")
    sanity = run_sanity(plan, jobs, log) if plan.recipe.sanity.clips else []
    about = {
        **describe(plan),
        "rows": table.num_rows,
        "failed": failed,
        "sanity": sanity,
        "seconds": time.perf_counter() - started,
        "estimate": asdict(estimate),
        "made": datetime.date.today().isoformat(),
        "threads": torch.get_num_threads(),
        **made_here(),
    }
    return {**write_json(plan.out / "study.json", about), "folder": str(plan.out)}


def describe(plan: Plan) -> dict[str, Any]:
    """The study in plain data, for pages."""
    recipe = plan.recipe
    return {
        "title": recipe.title,
        "name": recipe.name,
        "data": {"name": plan.data.name, "folds": list(recipe.data.folds), "clips": len(plan.examples)},
        "classifiers": {
            name: {"title": entry.title or name, "sha256": plan.classifiers[name].digest()}
            for name, entry in recipe.classifiers.items()
        },
        "conditions": {name: entry.title or name for name, entry in recipe.conditions.items()},
        "methods": [
            {"name": a.name, "title": recipe.methods[a.name].title or a.name, "method": a.method, "domain": a.domain}
            for a in plan.runs
        ],
        "masks": list(dict.fromkeys(str(m) for a in plan.runs for m in a.masks)),
        "compat": list(recipe.compat),
        "target": recipe.target,
    }

"""The study from its recipe to its results."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from otoscope.core.files import make_folder
from otoscope.core.runtime import require, resolve_device
from otoscope.datasets import load_dataset
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, reserve, write_json
from otoscope.studies.like_to_hear.listen import choose, write_listening
from otoscope.studies.like_to_hear.measure import ORIGINAL, Evaluator, measure_all
from otoscope.studies.like_to_hear.members import gather, plan_trainings
from otoscope.studies.like_to_hear.settings import LikeToHearRecipe
from otoscope.studies.like_to_hear.summary import summarise
from otoscope.training.data import divide

PARTS = ("classifiers", "autoencoders", "parts", "results.json")


def like_to_hear(
    recipe: LikeToHearRecipe, device: str = "auto", log: Callable[[str], object] = lambda _line: None
) -> dict[str, Any]:
    """Tune autoencoders to frozen classifiers and answer what each network likes to hear.

    Finished trainings and measures are kept: run the study again to resume it. A folder that holds
    another study is refused.

    Parameters
    ----------
    recipe : LikeToHearRecipe
        Recipe of the study.
    device : {"auto", "cpu", "cuda"}
        Where the classifiers run.
    log : callable
        Called with a line for each step.

    Returns
    -------
    dict
        What ``results.json`` holds, with ``folder`` and ``listening`` (what belongs on the listening page).

    Raises
    ------
    OtoscopeError
        If data, members or the folder are not usable, or a training fails.

    Examples
    --------
    >>> recipe = load_like_to_hear("esc10", ["data.root=esc50", "out=runs/ears"])
    >>> like_to_hear(recipe)["folder"]  # doctest: +SKIP
    'runs/ears'
    """
    require("lightning", "train", "otoscope like-to-hear")
    out = out_folder(recipe, "study").resolve()
    ensure_same_recipe(out, recipe, PARTS, "study")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    data = load_dataset(recipe.data.name, recipe.data.root)
    _, _, test = divide(data, recipe.data)
    choose(recipe, test)  # refuses clips that are not there, before anything is trained
    jobs = plan_trainings(recipe, out)  # refuses recipes that cannot be read
    make_folder(out)
    reserve(out, recipe)
    members = gather(recipe, out, jobs, data.labels, device, log)
    evaluator = Evaluator(recipe, members, data.labels, resolve_device(device))
    log(f"measuring {len(test)} clips: {len(evaluator.sounds)} sounds each, {len(members.classifiers)} classifiers")
    measures = measure_all(evaluator, test, out)
    truth = np.array([example.index for example in test.examples])
    results = summarise(evaluator, measures, truth, data.labels)
    results["title"], results["data"] = recipe.title, f"{data.name}, test folds {', '.join(map(str, recipe.data.test))}"
    results |= {"made": datetime.date.today().isoformat(), "threads": torch.get_num_threads(), **made_here()}
    results = write_json(out / "results.json", results)
    log("writing the sounds of the listening page")
    accuracy = {name: row["accuracy"] for name, row in results["cross"][ORIGINAL].items()}
    listening = write_listening(evaluator, test, out / "listening", accuracy)
    return {**results, "folder": str(out), "listening": listening}

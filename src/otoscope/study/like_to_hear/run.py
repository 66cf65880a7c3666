"""The study from its recipe to its results."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import make_folder, write_text
from otoscope.core.plain import plain
from otoscope.core.runtime import require, resolve_device
from otoscope.datasets import load_dataset
from otoscope.study.like_to_hear.listen import choose, write_listening
from otoscope.study.like_to_hear.measure import ORIGINAL, Bench, measure_all
from otoscope.study.like_to_hear.members import gather, plan_trainings
from otoscope.study.like_to_hear.settings import LikeToHearRecipe
from otoscope.study.like_to_hear.summary import summarise
from otoscope.training.data import divide
from otoscope.training.folder import made_here, read_json


def like_to_hear(
    recipe: LikeToHearRecipe, device: str = "auto", tell: Callable[[str], object] = lambda _line: None
) -> dict[str, Any]:
    """Tune autoencoders to frozen classifiers and answer what each network likes to hear.

    Trainings and measures that are there are not made again: a study that was stopped goes on. A folder that holds
    another study is refused.

    Parameters
    ----------
    recipe : LikeToHearRecipe
    device : {"auto", "cpu", "cuda"}
    tell : callable
        Called with a line for each step.

    Returns
    -------
    dict
        What ``results.json`` holds, with ``folder`` and ``listening`` (what belongs on the listening page).

    Raises
    ------
    OtoscopeError
        If data, members or the folder are not usable, or a training fails.
    """
    require("lightning", "train", "otoscope like-to-hear")
    out = Path(recipe.out).resolve()
    if out.exists() and not out.is_dir():
        raise ParameterError(f"out={out} is a file; give the study a folder of its own")
    _refuse_another(out, recipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    data = load_dataset(recipe.data.name, recipe.data.root)
    _, _, test = divide(data, recipe.data)
    choose(recipe, test)  # refuses clips that are not there, before anything is trained
    plan_trainings(recipe, out)  # refuses recipes that cannot be read
    make_folder(out)
    write_text(out / "recipe.json", json.dumps(recipe.identity(), indent=1))
    members = gather(recipe, out, data.labels, device, tell)
    bench = Bench(recipe, members, data.labels, resolve_device(device))
    tell(f"measuring {len(test)} clips: {len(bench.sounds)} sounds each, {len(members.classifiers)} classifiers")
    measures = measure_all(bench, test, out)
    truth = np.array([example.index for example in test.examples])
    results = summarise(bench, measures, truth, data.labels)
    results["title"], results["data"] = recipe.title, f"{data.name}, test folds {', '.join(map(str, recipe.data.test))}"
    results |= {"made": datetime.date.today().isoformat(), "threads": torch.get_num_threads(), **made_here()}
    results = plain(results)
    write_text(out / "results.json", json.dumps(results, indent=1) + "\n")
    tell("writing the sounds of the listening page")
    accuracy = {name: row["accuracy"] for name, row in results["cross"][ORIGINAL].items()}
    listening = write_listening(bench, test, out / "listening", accuracy)
    return {**results, "folder": str(out), "listening": listening}


def _refuse_another(out: Path, recipe: LikeToHearRecipe) -> None:
    file = out / "recipe.json"
    begun = any((out / part).exists() for part in ("classifiers", "autoencoders", "parts", "results.json"))
    if begun and file.is_file() and read_json(file) != json.loads(json.dumps(recipe.identity())):
        raise OtoscopeError(f"{out} holds a study of another recipe ({file}); give out=FOLDER or move it away")

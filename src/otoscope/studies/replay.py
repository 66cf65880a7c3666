"""Reproduce the sounds of a row, to listen to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.records import Attribution, Clip, Mask
from otoscope.recipes.runs import read_json
from otoscope.recipes.schema import build_settings
from otoscope.studies.methods import MethodRun
from otoscope.studies.plan import Chunk, Plan
from otoscope.studies.recipe import StudyRecipe
from otoscope.studies.store import Jobs, key_of
from otoscope.studies.worker import Worker
from otoscope.surgery import preserve_state


@dataclasses.dataclass(frozen=True, eq=False)
class Replayed:
    """The explanation behind a row.

    Parameters
    ----------
    original, kept, removed : Clip
        The sounds at the clip's own rate.
    attribution : Attribution
        Values of all cells.
    mask : Mask
        The share of each cell that is kept.
    true : Clip, optional
        The sound that should have been found.

    Examples
    --------
    >>> recipe = StudyRecipe(
    ...     data={"name": "scenes,clips=2,seconds=1,sample_rate=32000,folds=1,kinds=dog_bark+rain", "root": "few", "seconds": 1},
    ...     classifiers={"mn": {"model": "esc10-mn"}}, methods={"energy": {}}, out="tiny",
    ... )
    >>> folder = run_study(recipe)["folder"]
    >>> rows = otoscope.results.read_results(folder).frame
    >>> replayed = Replayer(Path(folder))(rows.iloc[0])
    >>> replayed.kept.samples.shape == replayed.original.samples.shape
    True
    """

    original: Clip
    kept: Clip
    removed: Clip
    attribution: Attribution
    mask: Mask
    true: Clip | None


class Replayer:
    """Reproduces rows of one study; classifiers are loaded once.

    Parameters
    ----------
    folder : Path
        The study's.
    device : str
        Where the classifiers run: ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    OtoscopeError
        If the folder holds no study, or its data and classifiers are not where they were.

    Examples
    --------
    >>> recipe = StudyRecipe(
    ...     data={"name": "scenes,clips=2,seconds=1,sample_rate=32000,folds=1,kinds=dog_bark+rain", "root": "few", "seconds": 1},
    ...     classifiers={"mn": {"model": "esc10-mn"}}, methods={"energy": {}}, out="tiny",
    ... )
    >>> folder = run_study(recipe)["folder"]
    >>> rows = otoscope.results.read_results(folder).frame
    >>> Replayer(Path(folder))(rows.iloc[1]).attribution.method
    'energy'
    """

    def __init__(self, folder: Path, device: str = "auto"):
        content = read_json(folder / "recipe.json")
        recipe: StudyRecipe = build_settings(StudyRecipe, {**content, "out": str(folder)})
        self.plan = Plan(recipe, folder.resolve(), device)
        self.worker, self.jobs = Worker(self.plan), Jobs(self.plan)

    def __call__(self, row: Mapping[str, Any]) -> Replayed:
        """The explanation behind a row.

        Raises
        ------
        OtoscopeError
            If the row is not one of this study, or failed, or what it was made of has changed since.
        """
        row = {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
        number = self._number(row)
        run, mask = self._run(row)
        chunk = Chunk(row["condition"], row["classifier"], (number,))
        self._unchanged(row, chunk, run)
        groups, lost = self.worker.groups(chunk)
        if lost:
            raise lost[0][1]
        (group,) = groups
        with preserve_state(group.batch.classifier):
            pipeline = self.worker.pipeline(chunk, run, group)
            applied, kept = pipeline.masks[0][mask], pipeline.kept(0)[mask]
        clip = group.clips[0]
        sound, name = clip.sound, clip.name
        heard = Clip(kept, sound.sample_rate, f"kept of {name}")
        rest = Clip(sound.samples - kept, sound.sample_rate, f"removed of {name}")
        true = None if clip.true is None else Clip(clip.true[None], sound.sample_rate, f"true part of {name}")
        return Replayed(sound, heard, rest, pipeline.attributions[0], applied, true)

    def _unchanged(self, row: Mapping[str, Any], chunk: Chunk, run: MethodRun) -> None:
        """Its key depends on sound, weights, settings and seed."""
        if row.get("key") and row["key"] != key_of(row, self.jobs.of_clip(chunk, run)(row["clip"])):
            raise OtoscopeError(
                f"the sound, the weights of {row['classifier']!r} or the settings have changed since this row was computed; run "
                "the study again, with --extend"
            )

    def _run(self, row: Mapping[str, Any]) -> tuple[MethodRun, int]:
        for run in self.plan.runs_of(row["classifier"]):
            masks = [str(m) for m in run.masks]
            if (run.method, run.domain) == (row["method"], row["domain"]) and row["mask"] in masks:
                return run, masks.index(row["mask"])
        raise OtoscopeError(
            f"the study has no {row['method']} in {row['domain']} with the mask {row['mask']}; is the row another study's?"
        )

    def _number(self, row: Mapping[str, Any]) -> int:
        for what, known in (("condition", self.plan.recipe.conditions), ("classifier", self.plan.recipe.classifiers)):
            if row[what] not in known:
                raise OtoscopeError(f"the study has no {what} {row[what]!r}; is the row another study's?")
        if row["clip"] in self.plan.names:
            return self.plan.names.index(row["clip"])
        raise ParameterError(f"the clip {row['clip']!r} is not among the study's; is its data where it was?")

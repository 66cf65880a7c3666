"""Make the sounds of a row again, to listen to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.records import Attribution, Clip, Mask
from otoscope.recipes.runs import read_json
from otoscope.recipes.schema import build_settings
from otoscope.studies.heard import render_masks
from otoscope.studies.jobs import Jobs
from otoscope.studies.plan import Asked, Chunk, Plan
from otoscope.studies.recipe import StudyRecipe
from otoscope.studies.store import key_of
from otoscope.studies.worker import Worker, explain_group
from otoscope.surgery import preserve_state


@dataclasses.dataclass(frozen=True, eq=False)
class Replayed:
    """The explanation behind a row.

    Parameters
    ----------
    original, kept, removed : Clip
    attribution : Attribution
    mask : Mask
    true : Clip, optional
        The sound that should have been found.
    """

    original: Clip
    kept: Clip
    removed: Clip
    attribution: Attribution
    mask: Mask
    true: Clip | None


class Replayer:
    """Makes rows of one study again; classifiers are loaded once.

    Parameters
    ----------
    folder : Path
        The study's.
    device : str

    Raises
    ------
    OtoscopeError
        If the folder holds no study, or its data and classifiers are not where they were.
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
        number = self._number(row)
        asked, mask = self._asked(row)
        chunk = Chunk(row["condition"], row["classifier"], (number,))
        self._unchanged(row, chunk, asked)
        groups, lost = self.worker.groups(chunk)
        if lost:
            raise lost[0][1]
        (group,) = groups
        with preserve_state(group.classifier):
            found = explain_group(self.plan, asked, group, lambda _n: None)
            made = found.masks(0, asked)[mask]
            kept = render_masks(found, 0, [made], group.clips[0].sound)
        clip = group.clips[0]
        sound, name = clip.sound, clip.name
        heard = Clip(kept, sound.sample_rate, f"kept of {name}")
        rest = Clip(sound.samples - kept, sound.sample_rate, f"removed of {name}")
        true = None if clip.true is None else Clip(clip.true[None], sound.sample_rate, f"true part of {name}")
        return Replayed(sound, heard, rest, found.attributions[0], made, true)

    def _unchanged(self, row: Mapping[str, Any], chunk: Chunk, asked: Asked) -> None:
        """Its key hangs on sound, weights, settings and seed."""
        if row.get("key") and row["key"] != key_of(row, self.jobs.of_clip(chunk, asked)(row["clip"])):
            raise OtoscopeError(
                f"the sound, the weights of {row['classifier']!r} or the settings are others than when the row was made; run the "
                "study again, with --extend"
            )

    def _asked(self, row: Mapping[str, Any]) -> tuple[Asked, int]:
        for asked in self.plan.asked_of(row["classifier"]):
            masks = [str(m) for m in asked.masks]
            if (asked.method, asked.domain) == (row["method"], row["domain"]) and row["mask"] in masks:
                return asked, masks.index(row["mask"])
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

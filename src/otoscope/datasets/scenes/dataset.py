"""Scenes as a data set: one labelled foreground over another sound, with the stems of each clip.

``audio/NAME.wav``, ``stems/NAME/KIND.wav`` (their sum is the clip), ``scenes.json`` with the settings, the SNR and the
event times of each clip. Everything follows from the settings; existing files are kept.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.files import make_folder
from otoscope.core.registry import Parameter, register
from otoscope.datasets.made import SCENES, examples_of, is_complete, levels, stem_name, write_stems
from otoscope.datasets.notes import Notes
from otoscope.datasets.records import Dataset, DatasetError, Example
from otoscope.datasets.scenes.scene import Scene, kinds, make_scene

LICENCE = "CC0 (made by code)"


@dataclass(frozen=True)
class SceneSettings:
    """What a data set of scenes follows from; see the parameters in the registry."""

    clips: int
    seconds: float
    sample_rate: int
    snr_db: float | tuple[float, ...]
    spread_db: float
    kinds: tuple[str, ...]
    folds: int
    seed: int
    notes: str = ""

    def said(self) -> dict[str, Any]:
        """What is recorded of them."""
        return {key: value for key, value in asdict(self).items() if key != "notes" or value}


@register(
    "dataset",
    "scenes",
    family="synthetic",
    parameters=(
        Parameter("clips", int, 200, "number of scenes", 1, 1_000_000),
        Parameter("seconds", float, 5.0, "length of each", 0.05, 3600.0),
        Parameter("sample_rate", int, 32000, "in Hz", 1000, 768_000),
        Parameter(
            "snr_db",
            str,
            "0",
            "energy of the labelled sound over the other in dB; levels joined by + (-5+0): a scene each",
        ),
        Parameter("spread_db", float, 0.0, "the SNR is drawn within so many dB around snr_db", 0.0, 60.0),
        Parameter("kinds", str, "", "kinds of sound, at least two, joined by + (rain+bell); else all"),
        Parameter("folds", int, 5, "folds that the scenes are dealt to", 1, 1000),
        Parameter("seed", int, 0, "draws everything", 0, 2**31 - 1),
        Parameter("notes", str, "", "folder of the data set instruments, whose notes music is played with; else drawn"),
    ),
    licence=LICENCE,
    sample_rate=0,
    classes=len(kinds()),
    clips=0,
    folds="5",
    needs_download=False,
    made=True,
    hosted="",
    audio="audio",
)
def read_scenes(
    root: str | os.PathLike[str],
    clips: int = 200,
    seconds: float = 5.0,
    sample_rate: int = 32000,
    snr_db: str | float = "0",
    spread_db: float = 0.0,
    kinds: str = "",
    folds: int = 5,
    seed: int = 0,
    notes: str = "",
    *,
    make: bool = True,
) -> Dataset:
    """Procedural scenes with separate stems and exact event times; missing ones are generated in the folder.

    Without ``make``, they are described as they were made before, and nothing is written.

    Raises
    ------
    UnknownNameError, ParameterError
        For kinds that do not exist, come twice, or are fewer than two.
    DatasetError
        If the folder holds scenes of other settings or something else; without ``make``, also if it holds none.
    WriteError
        If they cannot be written.
    """
    folder = Path(root)
    ratios = levels(str(snr_db), "scenes", 60.0)
    ratio = ratios[0] if len(ratios) == 1 else ratios
    settings = SceneSettings(clips, seconds, sample_rate, ratio, spread_db, _kinds(kinds), folds, seed, notes)
    plans = [_plan(settings, i) for i in range(clips)]
    SCENES.reserve(folder, settings.said())
    if make:
        _make(folder, settings, plans)
    else:
        SCENES.recorded(folder)
    return Dataset("scenes", settings.kinds, examples_of(folder, plans, settings.kinds), LICENCE)


def _make(folder: Path, settings: SceneSettings, plans: list[dict[str, Any]]) -> None:
    """Write what is not there; the record last."""
    make_folder(folder)
    records = [_record(folder, settings, plan) for plan in tqdm(plans, desc="making scenes", delay=2, leave=False)]
    if not (folder / SCENES.record).is_file():
        SCENES.write_record(folder, settings.said(), records)


def stems_of(example: Example) -> dict[str, Path]:
    """The files of a clip's stems by kind of sound, the labelled one first; their sum is the clip.

    Raises
    ------
    DatasetError
        If the example is not a clip of the data sets ``scenes`` and ``mixtures``.

    Examples
    --------
    >>> data = load_dataset("scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell", "toy")
    >>> list(stems_of(data.examples[0]))
    ['rain', 'bell']
    """
    folder = example.path.parent.parent / "stems" / example.path.stem
    found = {file.stem: file for file in sorted(folder.glob("*.wav"))}
    own = found.pop(stem_name(example.label), None)
    if own is None:
        raise DatasetError(f"{example.path} has no stems in {folder}; only the data sets scenes and mixtures have them")
    return {example.label: own, **found}


def _kinds(text: str) -> tuple[str, ...]:
    known = kinds()
    chosen = tuple(part.strip() for part in text.split("+")) if text else known
    for kind in chosen:
        if kind not in known:
            raise UnknownNameError("sound", kind, known)
    if len(set(chosen)) < max(2, len(chosen)):
        raise ParameterError(f"scenes need two kinds of sound or more, each once, joined by +; got kinds={text!r}")
    return chosen


def _plan(settings: SceneSettings, i: int) -> dict[str, Any]:
    """What the scene with number ``i`` is; the same for every number of clips. Of several levels each scene has its own clips."""
    ratios = settings.snr_db if isinstance(settings.snr_db, tuple) else (settings.snr_db,)
    number, ratio = i, ratios[i % len(ratios)]
    i //= len(ratios)
    count = len(settings.kinds)
    rng = np.random.default_rng([settings.seed, i])
    label = settings.kinds[i % count]
    other = settings.kinds[(i % count + 1 + int(rng.integers(count - 1))) % count]
    snr_db = ratio + settings.spread_db * float(rng.uniform(-1.0, 1.0))
    fold = i // count % settings.folds + 1
    return {
        "name": f"scene-{number:06d}", "source": f"scene-{i:06d}", "label": label, "background": other,
        "snr_db": round(snr_db, 3), "fold": fold, "seed": int(rng.integers(2**31)),
    }  # fmt: skip


@lru_cache(maxsize=4)
def _notes(folder: str) -> Notes | None:
    """Recorded notes, opened when the first scene needs them."""
    return Notes(folder) if folder else None


def _record(folder: Path, settings: SceneSettings, plan: dict[str, Any]) -> dict[str, Any]:
    """Write a scene where it is not there; its record."""
    labels = (plan["label"], plan["background"])
    if (folder / SCENES.record).is_file() and is_complete(folder, plan):
        return plan
    form = settings.seconds, settings.sample_rate, plan["snr_db"], plan["seed"]
    scene: Scene = make_scene(labels, *form, notes=_notes(settings.notes))
    stems = {stem.label: stem.samples for stem in scene.stems}
    write_stems(folder, plan["name"], stems, settings.sample_rate, scene.clip.samples[0])
    return {**plan, "events": [[e.label, e.onset, e.offset, e.low_hz, e.high_hz] for e in scene.events]}

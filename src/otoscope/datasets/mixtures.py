"""Mixtures of two clips of different classes of another data set, at stated SNRs, with both of them as stems.

``audio/NAME.wav``, ``stems/NAME/CLASS.wav`` (their sum is the clip, the labelled one is the foreground), ``mixtures.json``
with the settings, and of each mixture its SNR, its two clips and when they sound. A pair of clips lies in one fold.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from otoscope.audio import fit_length, peak, rms
from otoscope.core.errors import ParameterError
from otoscope.core.files import make_folder
from otoscope.core.registry import Parameter, register
from otoscope.datasets.cache import waveform
from otoscope.datasets.load import read_dataset
from otoscope.datasets.made import MIXTURES, Record, examples_of, is_complete, levels, stem_name, write_stems
from otoscope.datasets.records import Dataset, DatasetError, Example, Fold
from otoscope.datasets.scenes.scene import PEAK
from otoscope.datasets.scenes.synthesis import Array

FRAME_S = 0.02
ACTIVE_DB = -40.0
"""A clip sounds in those frames of 20 ms whose energy is at most so far below its loudest one's."""
JOINED_S = 0.1
"""Pauses shorter than this do not end an event."""


@dataclass(frozen=True)
class MixtureSettings:
    """What a data set of mixtures follows from; see the parameters in the registry."""

    of: str
    folds: str
    pairs: int
    snr_db: tuple[float, ...]
    seconds: float
    sample_rate: int
    seed: int


@register(
    "dataset",
    "mixtures",
    family="synthetic",
    parameters=(
        Parameter("of", str, "esc50", "the data set that is mixed, its settings after colons: esc50:esc10=true"),
        Parameter("source", str, "", "the folder of that data set; needed until all is made"),
        Parameter("folds", str, "", "its folds that are mixed, joined by + (1+2); else all"),
        Parameter("pairs", int, 100, "pairs of clips, dealt to the folds and classes in turn", 1, 1_000_000),
        Parameter(
            "snr_db", str, "0", "levels of the labelled clip over the other, joined by + (-5+0+5): a mixture each"
        ),
        Parameter("seconds", float, 5.0, "length: clips are cut, or padded with silence", 0.05, 3600.0),
        Parameter("sample_rate", int, 44100, "in Hz", 1000, 768_000),
        Parameter("seed", int, 0, "draws the pairs", 0, 2**31 - 1),
    ),
    licence="that of the clips",
    sample_rate=0,
    classes=0,
    clips=0,
    folds="those of the clips",
    needs_download=False,
    made=True,
    hosted="",
    audio="audio",
)
def read_mixtures(
    root: str | os.PathLike[str],
    of: str = "esc50",
    source: str = "",
    folds: str = "",
    pairs: int = 100,
    snr_db: str = "0",
    seconds: float = 5.0,
    sample_rate: int = 44100,
    seed: int = 0,
    *,
    make: bool = True,
) -> Dataset:
    """Mixtures of two clips of different classes at stated SNRs, with both clips as stems; missing ones are generated.

    The SNR is between the RMS of the two clips, each over the frames in which it sounds: a short bark in silence counts as
    loud as it is while it lasts. The foreground keeps its level, unless the mixture's peak would pass 0.9: then one gain
    lowers both.

    Raises
    ------
    ParameterError
        For SNRs that are none, folds that do not exist, or fewer than two classes in a fold.
    DatasetError
        If the folder holds mixtures of other settings or something else, or a clip is silent; without ``make``, also if it
        holds none.
    WriteError
        If they cannot be written.

    Notes
    -----
    Source: paissan2024lmac mixes clips with an L2 norm of 1 at 0.8 to 0.2 (12 dB), of any two classes. We take
    levels over the active parts, several SNRs, and never two clips of one class.

    Examples
    --------
    >>> _ = load_dataset("scenes,clips=4,seconds=0.2,sample_rate=8000,kinds=rain+bell,folds=1", "toy")
    >>> of = "scenes:clips=4:seconds=0.2:sample_rate=8000:kinds=rain+bell:folds=1"
    >>> data = read_mixtures("mixed", of, "toy", pairs=2, snr_db="0+6", seconds=0.2, sample_rate=8000)
    >>> len(data)  # each pair at each SNR
    4
    """
    folder = Path(root)
    settings = MixtureSettings(of, folds, pairs, levels(snr_db, "mixtures", 120.0), seconds, sample_rate, seed)
    MIXTURES.reserve(folder, asdict(settings))
    there = (folder / MIXTURES.record).is_file()
    if not make or (there and all(is_complete(folder, record) for record in MIXTURES.recorded(folder))):
        return _dataset(folder, MIXTURES.recorded(folder))
    data = _source(of, source)
    plans = _plans(data, settings)
    return _dataset(folder, _make(folder, settings, data, plans))


def active(samples: Array, sample_rate: int) -> np.ndarray:
    """Whether each sample ``(time,)`` lies in a frame of 20 ms with at most 40 dB less energy than the loudest one; of silence
    none does."""
    size = max(1, round(FRAME_S * sample_rate))
    padded = fit_length(np.asarray(samples, np.float64), math.ceil(len(samples) / size) * size)
    energy = np.square(padded).reshape(-1, size).sum(1)  # (frame,)
    loud = (energy > 0.0) & (energy >= energy.max(initial=0.0) * 10.0 ** (ACTIVE_DB / 10.0))
    return np.repeat(loud, size)[: len(samples)]


def spans(sounds: np.ndarray, sample_rate: int) -> list[tuple[float, float]]:
    """Onsets and offsets in seconds of the stretches that are true; pauses shorter than 100 ms do not end one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounds, [False]]).astype(np.int8)))
    found: list[tuple[float, float]] = []
    for start, stop in zip(edges[::2] / sample_rate, edges[1::2] / sample_rate, strict=True):
        if found and start - found[-1][1] < JOINED_S:
            found[-1] = (found[-1][0], float(stop))
        else:
            found.append((float(start), float(stop)))
    return found


def mixed(
    foreground: Array, background: Array, sample_rate: int, snr_db: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two sounds ``(time,)``, neither silent, at an SNR between their RMS over the frames in which each sounds.

    Returns
    -------
    foreground, background, clip : ndarray (time,), float32
        The clip is the sum of the other two, exactly; its peak is at most 0.9.
    """
    levels = [rms(s[active(s, sample_rate)]) for s in (foreground, background)]
    parts = [foreground, background * (levels[0] / levels[1] * 10.0 ** (-snr_db / 20.0))]
    top = peak(parts[0] + parts[1])
    gain = min(1.0, PEAK * (1 - 1e-6) / top) if top > 0.0 else 1.0
    stems = [(gain * part).astype(np.float32) for part in parts]
    return stems[0], stems[1], stems[0] + stems[1]


def _source(of: str, source: str) -> Dataset:
    """The data set that is mixed."""
    if not source:
        raise ParameterError(
            "mixtures are made of another data set's clips; give its folder: mixtures,of=NAME,source=FOLDER"
        )
    if of.split(":")[0].strip() == "mixtures":
        raise ParameterError("mixtures cannot be mixed again; give another data set as of=NAME")
    return read_dataset(",".join(of.split(":")), source)[0]


def _plans(data: Dataset, settings: MixtureSettings) -> list[Record]:
    """What each mixture is; the same ones first for every number of pairs."""
    names = {str(name): name for name in data.fold_names()}
    chosen = [part.strip() for part in settings.folds.split("+")] if settings.folds else list(names)
    if not set(chosen) <= set(names) or len(set(chosen)) < len(chosen):
        raise ParameterError(f"{data.name} has the folds {list(names)}; got folds={settings.folds!r}")
    used = sorted({e.label for e in data.examples})
    if len({stem_name(label) for label in used}) < len(used):
        raise ParameterError(f"{data.name} has classes whose names would give the same file name; rename one")
    decks = {fold: _deck(data, names[fold], settings.seed) for fold in chosen}
    plans: list[Record] = []
    for pair in range(settings.pairs):
        one, other = _pair(decks[chosen[pair % len(chosen)]], pair, pair // len(chosen), settings.seed)
        for snr_db in settings.snr_db:
            plans.append({
                "name": f"{MIXTURES.one}-{len(plans):06d}", "label": one.label, "background": other.label,
                "snr_db": snr_db, "pair": pair, "fold": one.fold, "index": one.index,
                "clips": [_named(one), _named(other)], "examples": (one, other), "source": one.source,
            })  # fmt: skip
    return plans


def _deck(data: Dataset, fold: Fold, seed: int) -> dict[str, list[Example]]:
    """The clips of a fold by class, each class shuffled."""
    deck: dict[str, list[Example]] = defaultdict(list)
    for example in data.folds([fold]).examples:
        deck[example.label].append(example)
    if len(deck) < 2:
        raise ParameterError(f"fold {fold!r} of {data.name} holds clips of only one class; mixtures need two classes")
    for i, label in enumerate(sorted(deck)):
        order = np.random.default_rng([seed, i, 1]).permutation(len(deck[label]))
        deck[label] = [deck[label][j] for j in order]
    return dict(sorted(deck.items(), key=lambda item: item[1][0].index))


def _pair(deck: dict[str, list[Example]], pair: int, turn: int, seed: int) -> tuple[Example, Example]:
    """The ``turn``-th foreground of a fold, classes in turn, and a clip of another class, drawn."""
    labels, rng = list(deck), np.random.default_rng([seed, pair])
    own, place = deck[labels[turn % len(labels)]], turn // len(labels)
    one = own[place % len(own)]
    others = deck[labels[(turn + 1 + int(rng.integers(len(labels) - 1))) % len(labels)]]
    apart = [e for e in others if e.source != one.source] or others
    return one, apart[int(rng.integers(len(apart)))]


def _named(example: Example) -> dict[str, Any]:
    """A clip in the record."""
    return {"file": example.path.name, "start_s": example.start_s, "stop_s": example.stop_s, "source": example.source}


def _make(folder: Path, settings: MixtureSettings, data: Dataset, plans: list[Record]) -> list[Record]:
    """Write what is missing, the record last. Without a record everything is rewritten: files may have other settings."""
    make_folder(folder)
    done = {r["name"]: r for r in MIXTURES.recorded(folder)} if (folder / MIXTURES.record).is_file() else {}
    records = []
    for plan in tqdm(plans, desc="making mixtures", delay=2, leave=False):
        one, other = plan.pop("examples")
        old = done.get(plan["name"])
        if old is not None and old["clips"] != plan["clips"]:
            raise DatasetError(
                f"{folder} was mixed from other clips than the source has now ({old['clips'][0]['file']}, not "
                f"{plan['clips'][0]['file']}); give the source as it was, or another folder"
            )
        if old is not None and is_complete(folder, plan):
            records.append(old)
            continue
        sounds = [_cut(example, settings) for example in (one, other)]
        *stems, clip = mixed(sounds[0], sounds[1], settings.sample_rate, plan["snr_db"])
        parts = {one.label: stems[0], other.label: stems[1]}
        write_stems(folder, plan["name"], parts, settings.sample_rate, clip)
        events = [
            [example.label, onset, offset, None, None]
            for example, sound in zip((one, other), sounds, strict=True)
            for onset, offset in spans(active(sound, settings.sample_rate), settings.sample_rate)
        ]
        records.append({**plan, "events": events})
    if not done:
        about = {"labels": list(data.labels), "name": data.name, "licence": data.licence, "citation": data.citation}
        MIXTURES.write_record(folder, asdict(settings), records, source=about)
    return records


def _cut(example: Example, settings: MixtureSettings) -> Array:
    """A clip at the mixtures' rate and length, float64."""
    sound = waveform(example, settings.sample_rate).astype(np.float64)
    out = fit_length(sound, round(settings.seconds * settings.sample_rate))
    if not np.any(out):
        raise DatasetError(f"{example.path} is silent in its first {settings.seconds:g} s; leave it out of the source")
    return out


def _dataset(folder: Path, records: list[Record]) -> Dataset:
    about = json.loads((folder / MIXTURES.record).read_text(encoding="utf-8")).get("source")
    if not isinstance(about, dict) or not {"name", "labels", "licence", "citation"} <= set(about):
        raise DatasetError(
            f"{folder / MIXTURES.record} is damaged (it does not record what was mixed); remove the folder and make the mixtures "
            "again"
        )
    labels = tuple(about["labels"])
    examples = examples_of(folder, records, labels)
    return Dataset(f"mixtures of {about['name']}", labels, examples, about["licence"], about["citation"])

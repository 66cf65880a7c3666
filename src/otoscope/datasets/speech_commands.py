"""Speech Commands, versions 1 and 2, from the unpacked release.

A folder a word, ``validation_list.txt`` and ``testing_list.txt``; what they do not name is for training. The start of a
file's name identifies the speaker. Source: warden2018speech.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from otoscope.core.registry import Parameter, register
from otoscope.datasets.records import OFFICIAL, Dataset, DatasetError, Example
from otoscope.datasets.tables import inside, refuse_twice

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"


@register(
    "dataset",
    "speech-commands",
    family="speech",
    source="warden2018speech",
    parameters=(Parameter("version", str, "v2", "30 words (v1) or 35 (v2); what is fetched", choices=("v1", "v2")),),
    licence="CC BY 4.0",
    sample_rate=16000,
    classes=35,
    clips=105829,
    folds=", ".join(OFFICIAL),
    needs_download=True,
    hosted="https://storage.googleapis.com/download.tensorflow.org/data/",
    audio="",
    ignored=(NOISE,),
    wholes={"version=v1": (30, 64721)},
)
def read_speech_commands(root: str | os.PathLike[str], version: str = "v2") -> Dataset:
    """Single words of 1 s by many speakers, split by speaker; 35 words (v2) or 30 (v1).

    Examples
    --------
    >>> len(read_speech_commands("speech_commands_v0.02").labels)  # doctest: +SKIP
    35
    """
    folder = Path(root)
    fold_of: dict[str, str] = {}
    for fold, name in LISTS.items():
        listed = _lines(folder / name)
        refuse_twice(folder / name, listed)
        both = [clip for clip in listed if clip in fold_of]
        if both:
            raise DatasetError(
                f"{both[0]} is in {name} and in {LISTS[fold_of[both[0]]]} of {folder}; it belongs in one"
            )
        fold_of |= dict.fromkeys(listed, fold)
    names = sorted({*fold_of, *_clips(folder)})
    labels = tuple(sorted({PurePosixPath(n).parts[0] for n in names}))
    order = {label: i for i, label in enumerate(labels)}
    examples = []
    for name in names:
        parts = PurePosixPath(name).parts
        path = inside(folder, name, folder / LISTS.get(fold_of.get(name, ""), "."))
        if len(parts) != 2:
            raise DatasetError(f"{name!r} in a list of {folder} is not WORD/FILE")
        speaker = parts[1].partition("_nohash_")[0]
        examples.append(Example(path, parts[0], order[parts[0]], fold_of.get(name, "train"), speaker))
    return Dataset(f"Speech Commands {version}", labels, tuple(examples), "CC BY 4.0", "warden2018speech")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{file} cannot be read ({getattr(error, 'strerror', None) or error}); give the unpacked folder of Speech Commands"
        ) from error


def _clips(folder: Path) -> list[str]:
    """WORD/FILE of all that is there."""
    words = [w for w in folder.iterdir() if w.is_dir() and w.name != NOISE and not w.name.startswith(".")]
    return [f"{word.name}/{name}" for word in words for name in os.listdir(word) if name.endswith(".wav")]

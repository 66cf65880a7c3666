"""The Free Spoken Digit Dataset: ``recordings/DIGIT_SPEAKER_TAKE.wav``. Source: jackson2018fsdd."""

from __future__ import annotations

import os
import re
from pathlib import Path

from otoscope.core.registry import Parameter, register
from otoscope.datasets.records import Dataset, DatasetError, Example

NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES, VALIDATION_TAKES = range(5), range(5, 10)


@register(
    "dataset",
    "fsdd",
    family="speech",
    source="jackson2018fsdd",
    parameters=(
        Parameter(
            "folds",
            str,
            "official",
            "official: takes 0-4 test, 5-9 validation, the rest train; speaker: a fold each",
            choices=("official", "speaker"),
        ),
    ),
    licence="CC BY-SA 4.0",
    sample_rate=8000,
    classes=10,
    clips=3000,
    folds="train, validation, test; or one a speaker (6)",
    needs_download=True,
    hosted="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
    audio="recordings",
    digest="8e93d921858aef62b9e5418e7806b2a88053a987957b4e49c37c43e1662ea0ea",
)
def read_fsdd(root: str | os.PathLike[str], folds: str = "official") -> Dataset:
    """Spoken digits by six speakers, 50 takes each.

    Examples
    --------
    >>> read_fsdd("free-spoken-digit-dataset").labels[7]  # doctest: +SKIP
    'seven'
    """
    folder = Path(root) / "recordings"
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not there; give the folder of the Free Spoken Digit Dataset that holds recordings/"
        )
    examples = []
    for name in sorted(os.listdir(folder)):
        match = NAME.fullmatch(name)
        if match is None:
            continue
        digit, speaker, take = int(match[1]), match[2], int(match[3])
        fold = speaker if folds == "speaker" else _part(take)
        source = speaker if folds == "speaker" else name.removesuffix(".wav")
        examples.append(Example(folder / name, DIGITS[digit], digit, fold, source))
    if not examples:
        raise DatasetError(f"{folder} holds no recordings named DIGIT_SPEAKER_TAKE.wav, such as 7_jackson_32.wav")
    return Dataset("FSDD", DIGITS, tuple(examples), "CC BY-SA 4.0", "jackson2018fsdd")


def _part(take: int) -> str:
    return "test" if take in TEST_TAKES else "validation" if take in VALIDATION_TAKES else "train"

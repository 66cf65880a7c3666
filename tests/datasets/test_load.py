"""The registry of data sets: every entry has its facts, a source that exists, and a test file; specs are checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.datasets import DatasetError, load_dataset

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "esc50",
    "folder",
    "fsdd",
    "instruments",
    "medley-solos-db",
    "mixtures",
    "scenes",
    "speech-commands",
    "urbansound8k",
]
FACTS = {
    "licence": str, "sample_rate": int, "classes": int, "clips": int, "folds": str, "needs_download": bool,
    "hosted": str, "audio": str,
}  # fmt: skip


def test_all_are_registered():
    assert sorted(registry.names("dataset")) == NAMES


@pytest.mark.parametrize("entry", registry.entries("dataset"), ids=lambda e: e.name)
def test_an_entry_is_complete(entry):
    assert re.match(r"[A-Z].+\.$", entry.summary)
    assert entry.family
    for fact, kind in FACTS.items():
        assert type(entry.facts.get(fact)) is kind, fact
    assert entry.facts["licence"]
    for p in entry.parameters:
        assert p.help
        assert p.check(p.default, entry.name) == p.default
        assert p.type in (str, bool) or None not in (p.low, p.high)
    *inner, module = entry.target.__module__.split(".")[2:]
    assert ROOT.joinpath("tests", "datasets", *inner, f"test_{module}.py").is_file()
    if entry.source:
        assert f"{{{entry.source}," in (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("esc5", UnknownNameError, "did you mean 'esc50'"),
        ("esc50,esc=true", UnknownNameError, "did you mean 'esc10'"),
        ("esc50,esc10=maybe", ParameterError, "must be a bool"),
        ("", ParameterError, "NAME,setting=value"),
    ],
)
def test_bad_specs(spec, error, match, tmp_path):
    with pytest.raises(error, match=match):
        load_dataset(spec, tmp_path)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("mixtures", "scenes")])
def test_a_folder_that_is_not_there(name, tmp_path):
    with pytest.raises(DatasetError, match="is not there"):
        load_dataset(name, tmp_path / "no")


def test_settings_reach_the_data_set(shared):
    data = load_dataset("esc50,esc10=true", shared("esc10"))
    assert (data.name, len(data), data.licence, data.citation) == ("ESC-10", 400, "CC BY 3.0", "piczak2015esc")
    for fold in range(1, 6):
        train, validation, test = data.split(fold)
        assert [len(train), len(validation), len(test)] == [240, 80, 80]
        assert {e.fold for e in validation.examples} == {fold % 5 + 1}

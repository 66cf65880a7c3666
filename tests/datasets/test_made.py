"""Folders that data sets are made in: whose they are, and records that are damaged."""

from __future__ import annotations

import pytest

from otoscope.core.errors import ParameterError
from otoscope.datasets import DatasetError, load_dataset

SPEC = "scenes,clips=7,seconds=0.3,sample_rate=8000,kinds=rain+bell+siren,folds=2,spread_db=6,seed=3"


def test_a_damaged_record(tmp_path):
    (tmp_path / "scenes.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        load_dataset(SPEC, tmp_path)


SMALL = "scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell"


@pytest.mark.parametrize("name", ["a.wav", "audio/a.wav", "stems/rain.wav", "dog/1.wav", "audio"])
def test_a_folder_of_something_else_is_refused(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=f"holds '{name.replace('dog/1.wav', 'dog')}', which is not a scene"):
        load_dataset(SMALL, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize("text", ["[]", '{"settings": []}', '{"settings": 3}'])
def test_a_record_of_something_else(tmp_path, text):
    (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(DatasetError, match=r"damaged|other settings"):
        load_dataset(SMALL, tmp_path)


@pytest.mark.parametrize("text", ["loud", "0+0", "-5+", "99"])
def test_levels_that_are_none_are_refused(text, tmp_path):
    with pytest.raises(ParameterError, match="snr_db of scenes"):
        load_dataset(f"scenes,clips=2,snr_db={text}", tmp_path / "x")

"""Names of layers from one set of stimuli: kept whole, read again, computed anew where a file is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from feature_worlds import BAND, planted_classifier
from otoscope.auralisation import named_layers
from otoscope.auralisation.named_layers import beside_twin, name_layers, read_arrays, write_arrays
from otoscope.core.errors import ParameterError


def test_what_is_kept_is_read_again(tmp_path, monkeypatch):
    lines: list[str] = []
    first = name_layers(planted_classifier(), ["planted"], 0, tmp_path / "names", log=lines.append)
    assert len(lines) == 1
    assert first.names["planted"][BAND]["name"].startswith("sound 775 Hz")
    assert first.strength["planted"].shape == (first.stimuli, 4)
    monkeypatch.setattr(named_layers, "make_stimuli", None)
    again = name_layers(planted_classifier(), ["planted"], 0, tmp_path / "names")
    assert (again.stimuli, again.names, again.drives) == first[:3]
    np.testing.assert_array_equal(again.strength["planted"], first.strength["planted"])


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_damaged_file_is_made_again(tmp_path, suffix):
    first = name_layers(planted_classifier(), ["planted"], 0, tmp_path / "names")
    file = (tmp_path / "names").with_suffix(suffix)
    file.write_bytes(file.read_bytes()[:50])
    again = name_layers(planted_classifier(), ["planted"], 0, tmp_path / "names")
    assert again.names == first.names


def test_beside_a_twin_names_are_compared(tmp_path):
    own = name_layers(planted_classifier(), ["planted"], 0, tmp_path / "names")
    other = own._replace(names={"planted": [{"name": f"other {i}"} for i in range(4)]})
    rows = beside_twin(own, other, "planted")
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert [row["name"] for row in rows] == ["other 0", "other 1", "other 2", "other 3"]
    assert not any(row["same"] for row in rows)


def test_arrays(tmp_path):
    write_arrays(tmp_path / "a.npz", [np.arange(3), np.eye(2)])
    one, two = read_arrays(tmp_path / "a.npz", 2)
    assert one.tolist() == [0, 1, 2]
    assert two.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ParameterError, match=r"b\.npz cannot be read"):
        read_arrays(tmp_path / "b.npz", 1)
    with pytest.raises(ParameterError, match="cannot be read"):
        read_arrays(tmp_path / "a.npz", 3)

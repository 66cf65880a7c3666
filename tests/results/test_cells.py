"""Rows by what they have in common, against loops."""

import numpy as np
import pytest

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.results import cells as module
from otoscope.results.cells import cells_of, group_rows
from result_rows import fail, make_rows

SMALL = {"clips": 3, "conditions": {"clean": 0.0}}


def test_groups_are_those_of_a_loop(study):
    rows = study(make_rows(**SMALL))
    groups = group_rows(rows, ("method", "mask"))
    seen = [rows.row(i) for i in range(len(rows))]
    assert groups.names == tuple(sorted({(row["method"], row["mask"]) for row in seen}))
    assert [groups.names[g] for g in groups.of] == [(row["method"], row["mask"]) for row in seen]
    assert groups.count(np.ones(len(rows), bool)).tolist() == [6] * 15


def test_coarser_groups(study):
    groups = group_rows(study(make_rows(**SMALL)), ("method", "mask", "classifier"))
    place, names = groups.coarser(("classifier",))
    assert names == (("mel",), ("stft",))
    assert [names[p][0] for p in place] == [name[2] for name in groups.names]


def test_values_are_means_over_seeds_of_what_did_not_fail(study):
    made = make_rows(**SMALL)
    again = [{**row, "seed": 1, "key": row["key"] + "/1", "kept": row["kept"] + 0.5} for row in made]
    rows = study(fail(made + again, lambda row: row["seed"] == 1 and row["clip"] == "1-001-A.wav"))
    cells = cells_of(rows, ("method", "mask", "classifier"))
    values = cells.values(rows.numbers("kept"))
    for g, (method, mask, classifier) in enumerate(cells.groups.names):
        for c, clip in enumerate(cells.clips):
            wanted = [
                row["kept"] for row in made + again
                if (row["method"], row["mask"], row["classifier"], row["clip"]) == (method, mask, classifier, clip)
            ]  # fmt: skip
            assert values[g, c] == pytest.approx(wanted[0] if clip == "1-001-A.wav" else np.mean(wanted))


def test_numbers_of_rows_that_failed_do_not_count(study):
    made = make_rows(**SMALL)
    for row in made:
        if row["method"] == "gradient":
            row["status"] = "failed"
    rows = study(made)
    cells = cells_of(rows, ("method",))
    values = cells.values(rows.numbers("kept"))
    assert np.isnan(values).all(1).tolist() == [name == ("gradient",) for name in cells.groups.names]


def test_what_is_not_there_is_nan(study):
    made = [row for row in make_rows(**SMALL) if not (row["method"] == "gradient" and row["clip"] == "1-000-A.wav")]
    made[0]["kept"] = None
    rows = study(made)
    cells = cells_of(rows, ("method",))
    values = cells.values(rows.numbers("kept"))
    assert np.isnan(values).sum() == 1
    assert np.isnan(values[cells.groups.names.index(("gradient",)), 0])


def test_columns_that_are_not_there_and_tables_that_are_too_large(study, monkeypatch):
    rows = study(make_rows(**SMALL))
    with pytest.raises(UnknownNameError, match="did you mean 'method'"):
        group_rows(rows, ("methods",))
    monkeypatch.setattr(module, "MAX_CELLS", 10)
    with pytest.raises(ParameterError, match="make 15 lines of 3 clips, too many"):
        cells_of(rows, ("method", "mask"))

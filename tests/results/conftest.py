"""Results of a made-up study, as `result_rows` makes them."""

from __future__ import annotations

import pytest

from otoscope.results import read_rows
from result_rows import write_study


@pytest.fixture
def study(tmp_path):
    """`study(rows, **about)`: these rows, read from a study's folder."""
    pytest.importorskip("pyarrow")

    def make(rows, **about):
        return read_rows(write_study(tmp_path / "study", rows, **about))

    return make

"""Old public names work for one version and say what to use."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("otoscope.metrics", "Known", "otoscope.metrics.GroundTruth"),
        ("otoscope.domains", "settled", "otoscope.domains.pool_segments"),
        ("otoscope.surgery", "untouched", "otoscope.surgery.preserve_state"),
        ("otoscope.study", "run_study", "otoscope.studies.run_study"),
    ],
)
def test_the_old_name_is_the_new_thing(module, old, new):
    home, _, name = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is now {new}"):
        found = getattr(importlib.import_module(module), old)
    assert found is getattr(importlib.import_module(home), name)


def test_other_names_are_unknown():
    with pytest.raises(AttributeError, match=r"module 'otoscope.metrics' has no attribute 'Unknown'"):
        _ = importlib.import_module("otoscope.metrics").Unknown

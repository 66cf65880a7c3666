"""Old public names work for one version and say what to use."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("otoscope.metrics", "Known", "otoscope.metrics.GroundTruth"),
        ("otoscope.surgery", "untouched", "otoscope.surgery.preserve_state"),
        ("otoscope.study", "run_study", "otoscope.studies.run_study"),
    ],
)
def test_the_old_name_is_the_new_thing(module, old, new):
    home, _, name = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{module}.{old} is now {new}"):
        found = getattr(importlib.import_module(module), old)
    assert found is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize(
    ("old", "method"),
    [
        ("grid_of", "Analysis.grid_of"),
        ("pool_segments", "Analysis.pool"),
        ("settled", "Analysis.pool"),
        ("bound", "Domain.bind"),
    ],
)
def test_a_function_that_became_a_method_calls_that_of_the_own_class(old, method):
    domains = importlib.import_module("otoscope.domains")
    owner = type("Own", (getattr(domains, method.split(".")[0]),), {method.split(".")[1]: lambda self, x: (self, x)})()
    with pytest.warns(DeprecationWarning, match=f"otoscope.domains.{old} is now otoscope.domains.{method}"):
        found = getattr(domains, old)
    assert found(owner, 3) == (owner, 3)


def test_other_names_are_unknown():
    with pytest.raises(AttributeError, match=r"module 'otoscope.metrics' has no attribute 'Unknown'"):
        _ = importlib.import_module("otoscope.metrics").Unknown

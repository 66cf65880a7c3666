"""Controls and oracles."""

import pytest

from otoscope.core import registry
from otoscope.results.lines import role_of


@pytest.mark.parametrize(
    ("method", "role"),
    [("oracle:ratio", "oracle"), ("control:ones", "control"), ("gradient", ""), ("rise,masks=3", ""), ("", "")],
)
def test_roles(method, role):
    assert role_of(method) == role


def test_controls_are_those_of_the_registry():
    for entry in registry.entries("method"):
        assert (role_of(f"{entry.name},a=1") == "control") == (entry.family == "control")

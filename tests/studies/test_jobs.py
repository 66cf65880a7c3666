"""Fingerprints of parts."""

from otoscope.studies.jobs import Jobs
from otoscope.studies.plan import Plan


def test_seals_hang_on_what_matters(done):
    recipe, out, _, _ = done

    def fingerprints(**changes):
        plan = Plan(recipe.replace(**changes), out, "cpu")
        return Jobs(plan).fingerprints()

    same = fingerprints()
    assert fingerprints(batch_size=1, threads=2, title="other") == same
    assert set(fingerprints(seed=4)).isdisjoint(same)
    assert set(fingerprints(compat=("double_softmax",))).isdisjoint(same)

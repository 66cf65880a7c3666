"""Oracles and chance levels of a study."""

import numpy as np
import pytest


def test_oracles_are_the_upper_bound_and_chance_the_lower_one(mixed):
    _, _, rows = mixed

    def mean(method, domain, column):
        chosen = [r[column] for r in rows if r["method"] == method and r["domain"].startswith(domain)]
        return float(np.nanmean(chosen))

    for column in ("truth_si_sdr_improvement_db", "truth_precision", "truth_roc_auc"):
        assert mean("oracle:ratio", "mel", column) > mean("random", "mel", column), column
    assert mean("oracle:ratio", "mel", "truth_si_sdr_improvement_db") > 10
    assert mean("oracle:binary", "mel", "truth_precision") == pytest.approx(1)
    # Steady tones that sound together are one component, which no mask can part: the domain itself is the bound.
    assert abs(mean("oracle:ratio", "components", "truth_si_sdr_improvement_db")) < 0.5

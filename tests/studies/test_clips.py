"""The clips of a study, oracles and chance levels."""

from pathlib import Path

import numpy as np
import pytest

from otoscope.studies import run_study
from study_worlds import rows_of


def test_stems_of_a_folder_are_a_domain(mixed, tmp_path):
    recipe, _, rows = mixed
    methods = {"occlusion": recipe.methods["gradient"]}
    domain = f"components,source=stems,stems={recipe.data.root}/stems"
    recipe = recipe.replace(out=str(tmp_path / "out"), methods=methods, domains=(domain,), masks=("topk:0.3",))
    run_study(recipe, "cpu")
    found = rows_of(tmp_path / "out")
    assert {r["status"] for r in found} == {"ok"}
    assert {r["clip"] for r in found} == {r["clip"] for r in rows}
    # of three parts, the one is kept that sounds as the class does
    assert [r["truth_recall"] for r in found] == pytest.approx([1] * len(found))
    assert all(r["truth_si_sdr_improvement_db"] > 19 for r in found)


def test_clips_of_one_name_are_told_apart():
    from otoscope.datasets import Example
    from otoscope.studies.clips import clip_names

    places = [
        ("a/1.wav", "a", 0.0),
        ("b/1.wav", "b", 0.0),
        ("b/2.wav", "b", 0.0),
        ("c/3.wav", "c", 0.0),
        ("c/3.wav", "c", 2.5),
    ]
    examples = [Example(Path(p), label, 0, 1, "s", start) for p, label, start in places]
    assert clip_names(examples) == ["a/1.wav", "b/1.wav", "2.wav", "c/3.wav@0", "c/3.wav@2.5"]


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

"""The numbers of a row: truth, curves, controls, published quirks."""

import math

import pytest

from otoscope.studies import load_study, run_study
from study_worlds import rows_of


def test_truth_of_a_planted_cue_is_found_where_it_is(done):
    """The gradient for the decoy's class in the clips of a tone lies at the planted 3 kHz."""
    _, out, _, _ = done
    row = next(
        r for r in rows_of(out) if r["condition"] == "cue" and r["domain"].startswith("mel") and r["mask"] == "binary"
    )
    assert row["truth_relevance_mass"] > 0.6
    assert row["truth_si_sdr_improvement_db"] > 3
    clean = next(r for r in rows_of(out) if r["condition"] == "clean")
    assert math.isnan(clean["truth_relevance_mass"])


def test_curves_belong_to_the_attribution(done):
    _, out, _, _ = done
    by: dict[tuple, set] = {}
    for row in rows_of(out):
        by.setdefault((row["clip"], row["condition"], row["method"], row["domain"]), set()).add(row["deletion_auc"])
    assert all(len(values) == 1 and math.isfinite(*values) for values in by.values())


def test_what_a_method_found_out_stands_in_its_rows(done):
    rows = rows_of(done[1])
    assert {r["method_samples"] for r in rows if r["method"].startswith("rise")} == {8}
    assert all(math.isnan(r["method_samples"]) for r in rows if r["method"] == "gradient")


@pytest.mark.parametrize(
    ("quirk", "column", "mask"),
    [
        ("quantile_ties", "mask_size", "positive:topk:0.9"),
        ("raw_sigmoid", "mask_size", "sigmoid"),
        ("constant_masks", "complexity", "topk:1.0"),
        ("double_softmax", "average_drop", "minmax"),
    ],
)
def test_published_quirks_come_back_one_by_one(grid, tmp_path, quirk, column, mask):
    """Off: exact ties, ln n for a mask of ones, AD. On: a quantile of 0 keeps all, 0 for a mask of ones, AD of softmaxed p."""
    values = {}
    for name, compat in (("off", "[]"), ("on", f"[{quirk}]")):
        settings = [
            f"out={tmp_path / name}",
            f"compat={compat}",
            f"masks=['{mask}']",
            "domains=['mel,bands=16,ms=100']",
        ]
        recipe = load_study(grid, [*settings, "methods={gradient: {}}", "target=predicted"])
        recipe = recipe.replace(
            conditions={"clean": recipe.conditions["clean"]}, methods={"gradient": recipe.methods["gradient"]}
        )
        run_study(recipe, "cpu")
        values[name] = [r[column] for r in rows_of(tmp_path / name)]
    if quirk == "quantile_ties":
        assert max(values["on"]) == 1.0
        assert max(values["off"]) < 0.91
    elif quirk == "raw_sigmoid":  # attributions of hundredths: half of everything
        assert values["on"] == pytest.approx([0.5] * 4, abs=0.01)
        assert max(abs(v - 0.5) for v in values["off"]) > 0.01
    elif quirk == "constant_masks":
        assert values["on"] == [0.0] * 4
        assert values["off"] == pytest.approx([math.log(16 * 5)] * 4)
    else:
        assert all(on != off for on, off in zip(values["on"], values["off"], strict=True))
        assert max(values["on"]) < 63.3


def test_controls_of_equal_area_stand_beside_each_mask(grid, tmp_path):
    settings = [
        f"out={tmp_path / 'out'}",
        "measures.controls=true",
        "masks=['topk:0.3']",
        "domains=['mel,bands=16,ms=100']",
    ]
    recipe = load_study(grid, settings)
    recipe = recipe.replace(
        conditions={"clean": recipe.conditions["clean"]}, methods={"gradient": recipe.methods["gradient"]}
    )
    run_study(recipe, "cpu")
    rows = rows_of(tmp_path / "out")
    for name in ("random_heard_kept", "random_heard_removed", "energy_heard_kept", "energy_heard_removed"):
        assert all(0 <= r[name] <= 1 for r in rows)
    assert rows[0]["energy_heard_kept"] > rows[0]["random_heard_kept"]  # a steady tone: its energy is the class
    assert {r["passes"] for r in rows} == {1 + 8 + 10 + 1}

"""Sanity checks of a study."""

import pytest

from otoscope.studies import load_study, run_study


def test_sanity_tells_a_method_that_asks_the_network_from_one_that_does_not(grid, tmp_path, monkeypatch):
    from otoscope.studies import sanity

    settings = ["sanity.clips=2", "methods.random={}", "methods.energy={}", f"out={tmp_path / 'out'}", "masks=[binary]"]
    settings += ["classifiers.ears.model=worlds:spectral", "target=predicted", "conditions.cue.target=''"]
    recipe = load_study(grid, settings)
    recipe = recipe.replace(conditions={"clean": recipe.conditions["clean"]})
    about = run_study(recipe, "cpu")
    rows = {(r["method"], r["domain"].split(",")[0]): r for r in about["sanity"]}
    assert rows["energy", "mel"]["unchanged"] is True
    assert rows["energy", "mel"]["randomisation_similarity"] == pytest.approx(1)
    assert rows["gradient", "mel"]["unchanged"] is False
    assert len(rows["gradient", "mel"]["randomisation_stages"]) == 4
    assert rows["gradient", "mel"]["seed_agreement"] == 1
    assert rows["rise,masks=8", "time"]["seed_agreement"] < 1
    assert 0 < rows["gradient", "mel"]["noise_sensitivity"] < 3
    monkeypatch.setattr(sanity, "_checked", lambda *a: pytest.fail("computed again"))
    assert run_study(recipe, "cpu")["sanity"] == about["sanity"]
    assert run_study(recipe, "cpu", dry_run=True)["estimate"]["passes"] == 0

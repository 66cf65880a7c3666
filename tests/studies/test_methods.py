"""Methods of a study in their domains: backgrounds that are data, methods that produce sound, twins."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from otoscope.autoencoders import AutoencoderConfig, save_autoencoder
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.core.errors import ParameterError
from otoscope.datasets.backgrounds import Background
from otoscope.studies import load_study, run_study
from otoscope.studies.plan import Plan
from otoscope.studies.store import Jobs

RECIPE = """
name: sounds
threads: 1
target: label
data: {{name: "esc50,esc10=true", root: {corpus}, folds: [1], seconds: 0.5, per_class: 1}}
classifiers: {{ears: {{model: "worlds:band_energy"}}}}
domains: ["mel,bands=16,ms=100"]
masks: [positive, "topk:0.3"]
methods: {methods}
"""


def recipe(tmp_path, corpus, methods, *overrides):
    file = tmp_path / "study.yaml"
    file.write_text(RECIPE.format(corpus=corpus, methods=methods))
    return load_study(file, [f"out={tmp_path / 'out'}", *overrides])


@pytest.fixture
def tuned(tmp_path):
    """The folder of a tiny autoencoder with random weights."""
    shape = AutoencoderConfig(
        channels=8, multipliers=(1, 1), factors=(1,), num_blocks=(1,), patch_size=4, sample_rate=8000, in_channels=1
    )
    return save_autoencoder(random_autoencoder(shape, 0), tmp_path / "tuned")


@pytest.fixture
def folder(tmp_path):
    """A folder whose name begins as the setting for the data set's own clips does."""
    root = tmp_path / "train_sounds"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        soundfile.write(root / f"{i}.wav", rng.normal(0, 0.1, 4000), 8000, subtype="FLOAT")
    return root


def test_a_folder_called_like_train_is_a_folder(tmp_path, corpus, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(
        recipe(tmp_path, corpus, '{shap: {method: "gradient_shap,samples=4,background=train_sounds"}}'),
        tmp_path / "out",
    )
    assert [str(run.background) for run in plan.runs] == ["train_sounds"]
    before = Jobs(plan).fingerprints()
    assert Jobs(plan).fingerprints() == before
    soundfile.write(folder / "0.wav", np.zeros(4000), 8000, subtype="FLOAT")
    assert Jobs(plan).fingerprints() != before  # rows that were computed with the old sound are stale


@pytest.mark.parametrize("spec", ["background=train", "background = train", " background=train , per_class = 1"])
def test_clips_of_the_data_set_are_the_background_however_it_is_spaced(tmp_path, corpus, spec):
    plan = Plan(recipe(tmp_path, corpus, f'{{shap: {{method: "gradient_shap,samples=4,{spec}"}}}}'), tmp_path / "out")
    (run,) = plan.runs
    assert isinstance(run.background, Background)
    explained = {e.path.resolve() for e in plan.examples}
    assert {s.path for s in run.background.sounds} == {
        e.path.resolve() for e in plan.data.examples if str(e.fold) != "1"
    }
    assert not explained & {s.path for s in run.background.sounds}
    assert "background=train" in run.method
    assert run.request.method_settings["per_class"] == (1 if "per_class" in spec else 2)


def test_the_background_of_peaked_clips_is_peaked(tmp_path, corpus):
    made = recipe(tmp_path, corpus, '{shap: {method: "gradient_shap,samples=4,background=train"}}', "data.peak=true")
    (run,) = Plan(made, tmp_path / "out").runs
    loudest = np.abs(run.background.waveforms(1, 0, 8000, 4000)).max(1)
    np.testing.assert_allclose(loudest, 1, atol=1e-6)


def test_a_method_that_produces_sound_stands_beside_the_others(tmp_path, corpus, tuned):
    """One table with metrics as heard for masks and for a generated sound."""
    methods = f'{{gradient: {{}}, like: {{method: "like-to-hear,autoencoder={tuned}"}}}}'
    lines: list[str] = []
    about = run_study(recipe(tmp_path, corpus, methods, "measures.curve_steps=3"), "cpu", log=lines.append)
    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert (about["failed"], [r["mask"] for r in rows if r["name"] == "like"]) == (0, ["level"] * 2)
    assert any("was not tuned to any classifier" in line for line in lines)
    for row in rows:
        assert np.isfinite([row["heard_kept"], row["heard_removed"], row["heard_faithfulness"], row["kept"]]).all()
        assert np.isnan(row["deletion_auc"]) == (row["name"] == "like")
    sounds = [r for r in rows if r["name"] == "like"]
    assert all(r["kept"] == pytest.approx(r["heard_kept"], abs=1e-6) for r in sounds)
    again = run_study(recipe(tmp_path, corpus, methods, "measures.curve_steps=3"), "cpu")
    assert again["rows"] == about["rows"]


@pytest.mark.parametrize("setting", ["masks: [binary]", "precision: bfloat16", 'scored_in: "mel,bands=16,ms=100"'])
def test_what_does_not_apply_to_a_generated_sound_is_refused(tmp_path, corpus, setting):
    what = setting.split(":")[0]
    with pytest.raises(ParameterError, match=f"'like-to-hear' of the study produces audio .* so {what} does not apply"):
        recipe(tmp_path, corpus, f"{{like-to-hear: {{{setting}}}}}")


def test_methods_whose_rows_would_be_the_same_are_refused(tmp_path, corpus):
    made = recipe(tmp_path, corpus, "{a: {method: gradient}, b: {method: gradient}}")
    with pytest.raises(ParameterError, match=r"methods 'a' and 'b' of the study are identical .*merge their masks"):
        Plan(made, tmp_path / "out")


def test_the_pass_of_the_autoencoder_is_counted(tmp_path, corpus, tuned):
    """One pass of the method, and kept and removed sound, in the domain and as heard."""
    run_study(recipe(tmp_path, corpus, f'{{like: {{method: "like-to-hear,autoencoder={tuned}"}}}}'), "cpu")
    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert [row["passes"] for row in rows] == [1 + 4] * 2

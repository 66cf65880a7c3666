"""The whole study on toys: it trains, goes on where it was, refuses what it should, and writes what it says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.datasets import load_dataset
from otoscope.studies import like_to_hear, load_like_to_hear
from otoscope.studies.like_to_hear.listen import choose
from otoscope.studies.like_to_hear.members import pairs, plan_trainings
from worlds import band_energy


@pytest.fixture(scope="module")
def done(recipes, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    recipe = load_like_to_hear(recipes / "study.yaml", [f"out={out}"])
    lines: list[str] = []
    return recipe, out, like_to_hear(recipe, "cpu", lines.append), lines


def test_it_trains_what_is_asked_for(done):
    recipe, out, results, lines = done
    assert pairs(recipe) == [("ears", "control"), ("ears", "random"), ("again", "random")]
    assert sorted(p.name for p in (out / "autoencoders").iterdir()) == [
        "again--random",
        "control",
        "ears--control",
        "ears--random",
    ]
    assert sum("training" in line for line in lines) == 4
    assert list(results["cross"]) == [
        "original",
        "resampled",
        "control",
        "ears--control",
        "ears--random",
        "again--random",
    ]
    assert results["cross"]["original"]["ears"]["accuracy"] == 1.0
    assert results["autoencoders"]["ears--control"]["start"] == "control"
    config = json.loads((out / "autoencoders" / "ears--control" / "model" / "config.json").read_text())
    assert config["info"]["started_from"].startswith("control")
    assert config["info"]["tuned_to"]["sha256"] == band_energy().digest()


def test_results_are_plain_and_hold_no_folder_of_this_machine(done, corpus):
    _, out, _, _ = done
    text = (out / "results.json").read_text()
    assert "NaN" not in text
    assert str(out) not in text
    assert str(corpus) not in text


def test_it_goes_on_where_it_was_and_gives_the_same(done):
    recipe, out, results, _ = done
    stamps = {f: f.stat().st_mtime_ns for f in out.rglob("*.npz")} | {
        f: f.stat().st_mtime_ns for f in out.rglob("model.safetensors")
    }
    again = like_to_hear(recipe, "cpu")
    assert {f: f.stat().st_mtime_ns for f in stamps} == stamps
    assert again["cross"] == results["cross"]
    assert again["bands"] == results["bands"]


def test_a_lost_autoencoder_is_trained_again_to_the_same(done, tmp_path):
    recipe, out, results, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "autoencoders" / "ears--random")
    again = like_to_hear(recipe.replace(out=str(copy)), "cpu")
    assert again["autoencoders"]["ears--random"]["sha256"] == results["autoencoders"]["ears--random"]["sha256"]


def test_the_sounds_to_hear_are_those_that_were_measured(done):
    recipe, out, results, _ = done
    contents = json.loads((out / "listening" / "listening.json").read_text())
    assert contents == results["listening"]
    assert [clip["label"] for clip in contents["clips"]] == ["tone", "decoy"]  # the first of each class
    assert [n["name"] for n in contents["networks"]] == ["ears"]  # the group main
    kinds = [(v["kind"], v.get("start")) for v in contents["clips"][0]["versions"]]
    assert kinds == [
        ("original", None),
        ("control", None),
        ("reconstruction", "control"),
        ("difference", "control"),
        ("reconstruction", "random"),
        ("difference", "random"),
    ]
    sounds = []
    for version in contents["clips"][0]["versions"][:4]:
        samples, rate = soundfile.read(out / "listening" / version["audio"], dtype="float32")
        assert rate == 8000
        sounds.append(samples * 10 ** (version.get("attenuated_db", 0.0) / 20))
    np.testing.assert_allclose(sounds[2] + sounds[3], sounds[0], atol=3e-4)  # 16 bits
    original, _ = soundfile.read(load_dataset("esc50,esc10=true", recipe.data.root).folds((1,)).examples[0].path)
    np.testing.assert_allclose(sounds[0], original, atol=1e-4)


def test_a_folder_of_another_study_is_refused(done, recipes):
    _, out, _, _ = done
    other = load_like_to_hear(recipes / "study.yaml", [f"out={out}", "seed=2"])
    before = (out / "results.json").read_text()
    with pytest.raises(OtoscopeError, match="another recipe"):
        like_to_hear(other, "cpu")
    assert (out / "results.json").read_text() == before


def test_how_it_is_run_does_not_make_it_another_study(done, recipes):
    recipe, out, _, _ = done
    same = load_like_to_hear(recipes / "study.yaml", [f"out={out}", "threads=1", "batch_size=4"])
    assert same.identity() == recipe.identity()


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        (["classifiers.ears.model="], ParameterError, "one of model, train and of"),
        (["classifiers.new={of: nobody}"], UnknownNameError, "nobody"),
        (["tune.to={nobody: [control]}"], UnknownNameError, "nobody"),
        (["tune.to={ears: [elsewhere]}"], UnknownNameError, "elsewhere"),
        (["tune.to={ears: control}"], ParameterError, "list of starting points"),
        (["tune.to={}"], ParameterError, "starting points|names no classifier"),
        (["classifiers.ears.group=minor"], UnknownNameError, "minor"),
        (["frequencies.edges_hz=[0, 100, 100]"], ParameterError, "must rise"),
        (["frequencies.cutoffs_hz=[0]"], ParameterError, "above 0"),
        (["frequencies.cutoffs_hz=[.nan]"], ParameterError, "above 0"),
        (["frequencies.edges_hz=[0, .inf]"], ParameterError, "must rise"),
        (["frequencies.classifiers=[nobody]"], UnknownNameError, "nobody"),
        (["batch_size=0"], ParameterError, "batch_size"),
        (["nonsense=1"], UnknownNameError, "nonsense"),
        (["classifiers={}"], ParameterError, "classifier"),
        (["name=../x"], ParameterError, "name"),
    ],
)
def test_bad_recipes_are_refused_before_anything_runs(recipes, overrides, error, said):
    with pytest.raises(error, match=said):
        load_like_to_hear(recipes / "study.yaml", overrides)


def test_a_part_comes_before_what_builds_on_it(recipes, tmp_path):
    file = tmp_path / "late.yaml"
    file.write_text("classifiers: {a: {of: b}, b: {model: esc10-mn}}\ntune: {to: {a: [control]}}\n")
    with pytest.raises(ParameterError, match="must come before"):
        load_like_to_hear(file)


def test_an_autoencoder_of_other_weights_is_refused(done, recipes, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    config = copy / "autoencoders" / "ears--random" / "model" / "config.json"
    config.write_text(config.read_text().replace(band_energy().digest(), "0" * 64))
    with pytest.raises(OtoscopeError, match=r"ears--random was tuned to other weights than 'ears' has now"):
        like_to_hear(recipe.replace(out=str(copy)), "cpu")


def test_names_and_paths_go_through_as_they_are(recipes, tmp_path):
    odd = tmp_path / "a #1: [x]"
    recipe = load_like_to_hear(recipes / "study.yaml", [f"out={json.dumps(str(odd))}", "data.peak=true"])
    first, rest = plan_trainings(recipe, odd)
    assert first == []
    assert {Path(job.recipe.out).parent for job in rest} == {odd / "autoencoders"}
    assert rest[1].recipe.autoencoder.start == str(odd / "autoencoders" / "control" / "model")
    assert all(job.recipe.data.peak for job in rest)  # what the study says of its data holds for its trainings


def test_classifiers_are_trained_by_their_recipes(recipes, tmp_path, corpus):
    """A teacher, a student, and the student with a part switched off."""
    (recipes / "net.yaml").write_text(
        "name: net\nmodel: {architecture: 'dymn,width=0.1,bn_momentum=0.5'}\nloggers: []\n"
        "augment: {roll_s: 0.0, time_mask: 0, frequency_mask: 0}\noptimiser: {epochs: 1, batch_size: 8, warmup_epochs: 0}\n"
    )
    overrides = [
        f"out={tmp_path / 'nets'}",
        "classifiers={first: {train: [net.yaml]}, second: {train: [net.yaml], teacher: first, set: [seed=2]}, "
        "less: {of: second, without: [dynamic_relu], group: switched}}",
        "tune.to={less: [random]}",
        "tune.set=[optimiser.epochs=1]",
    ]
    recipe = load_like_to_hear(recipes / "study.yaml", overrides)
    results = like_to_hear(recipe, "cpu")
    stored = json.loads((tmp_path / "nets" / "classifiers" / "second" / "recipe.json").read_text())
    assert stored["teacher"]["model"] == str(tmp_path / "nets" / "classifiers" / "first" / "model")
    assert stored["seed"] == 2
    said = results["classifiers"]
    assert len({entry["sha256"] for entry in said.values()}) == 3  # the switch is part of what it is
    assert said["less"]["parameters"] == said["second"]["parameters"]
    info = json.loads((tmp_path / "nets" / "autoencoders" / "less--random" / "model" / "config.json").read_text())[
        "info"
    ]
    assert info["tuned_to"]["sha256"] == said["less"]["sha256"]


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        (["classifiers.a={of: ears, without: [nothing]}"], UnknownNameError, "nothing"),
        (["classifiers.a={of: ears}", "classifiers.b={of: a}"], ParameterError, "which is switched"),
    ],
)
def test_switches_that_cannot_be_are_refused(recipes, overrides, error, said):
    with pytest.raises(error, match=said):
        load_like_to_hear(recipes / "study.yaml", overrides)


def test_a_missing_training_recipe_claims_no_folder(recipes, tmp_path):
    recipe = load_like_to_hear(recipes / "study.yaml", [f"out={tmp_path / 'x'}", "tune.recipe=[nowhere.yaml]"])
    with pytest.raises(OtoscopeError, match=r"nowhere\.yaml"):
        like_to_hear(recipe, "cpu")
    assert not (tmp_path / "x").exists()


def test_a_refused_study_leaves_its_folder_free(recipes, tmp_path):
    with pytest.raises(OtoscopeError):
        like_to_hear(
            load_like_to_hear(recipes / "study.yaml", [f"out={tmp_path}", "classifiers.ears.model=nope"]), "cpu"
        )
    results = like_to_hear(load_like_to_hear(recipes / "study.yaml", [f"out={tmp_path}"]), "cpu")
    assert results["clips"] == 4


def test_keep_best_without_a_validation_fold_is_refused_first(recipes, tmp_path):
    recipe = load_like_to_hear(recipes / "study.yaml", [f"out={tmp_path / 'x'}", "data.validation=[]"])
    with pytest.raises(ParameterError, match="need a validation fold"):
        like_to_hear(recipe, "cpu")
    assert not (tmp_path / "x").exists()


def test_clips_to_hear(recipes, corpus):
    test = load_dataset("esc50,esc10=true", corpus).folds((1,))

    def chosen(*clips):
        return choose(load_like_to_hear(recipes / "study.yaml", [f"listen.clips=[{', '.join(clips)}]"]), test)

    assert chosen() == [0, 1]
    assert chosen("3", "1-2.wav") == [3, 2]
    with pytest.raises(UnknownNameError, match=r"1-9\.wav"):
        chosen("1-9.wav")
    with pytest.raises(ParameterError, match="0 to 3"):
        chosen("4")


def test_classifiers_of_other_classes_are_refused(recipes, tmp_path):
    recipe = load_like_to_hear(
        recipes / "study.yaml",
        [f"out={tmp_path / 'x'}", "classifiers.other={model: esc10-mn}", "tune.to={ears: [control]}"],
    )
    with pytest.raises(ParameterError, match="has no class 'tone'"):
        like_to_hear(recipe, "cpu")
    assert not (tmp_path / "x" / "autoencoders").exists()  # refused before the first training


def test_the_listeners_are_as_before(done):
    recipe, _, _, _ = done
    ears = band_energy()
    assert torch.equal(ears.network.level, torch.tensor(2.0))
    assert recipe.main() == ["ears"]

"""The whole grid study on toys: rows that are right, resumed, refused, with failures kept."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.studies import Replayer, load_study, run_study, worker
from otoscope.studies.jobs import Jobs
from otoscope.studies.plan import Plan
from otoscope.studies.worker import Worker

RECIPE = """
name: toy
seed: 3
threads: 1
chunk: 2
batch_size: 6
target: label
data: {{name: "esc50,esc10=true", root: {corpus}, folds: [1], seconds: 0.5, names: {{tone: tone, decoy: decoy}}}}
classifiers:
  ears: {{model: "worlds:band_energy", title: Ears}}
domains: ["mel,bands=16,ms=100", "time"]
methods:
  gradient: {{}}
  rise: {{method: "rise,masks=8", domains: [time]}}
masks: [binary, "topk:0.3", minmax]
conditions:
  clean: {{title: Clean}}
  cue: {{plant: "tone,hz=3000,level_db=0", target: decoy, without: [decoy]}}
measures: {{curve_steps: 4, top: [0.2]}}
"""


@pytest.fixture(scope="session")
def grid(tmp_path_factory, corpus):
    file = tmp_path_factory.mktemp("grid") / "study.yaml"
    file.write_text(RECIPE.format(corpus=corpus))
    return file


@pytest.fixture(scope="module")
def done(grid, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "out"
    lines: list[str] = []
    recipe = load_study(grid, [f"out={out}"])
    about = run_study(recipe, "cpu", log=lines.append)
    return recipe, out, about, lines


def rows_of(out):
    return pq.read_table(out / "results.parquet").to_pylist()


def test_there_is_a_row_of_everything_and_each_key_once(done):
    _, out, about, _ = done
    rows = rows_of(out)
    assert len(rows) == about["rows"] == (4 + 2) * 3 * 3  # clips of both conditions, methods in domains, masks
    assert about["failed"] == 0
    assert len({row["key"] for row in rows}) == len(rows)
    assert {row["status"] for row in rows} == {"ok"}
    cues = [row for row in rows if row["condition"] == "cue"]
    assert {row["label"] for row in cues} == {"tone"}
    assert {row["target_label"] for row in cues} == {"decoy"}
    assert all(row["correct"] for row in rows if row["condition"] == "clean")


def test_rows_hold_what_explain_says(done):
    """The same numbers by the front door: scores in the domain, as heard, and the metrics."""
    recipe, out, _, _ = done
    row = next(
        r for r in rows_of(out)
        if (r["condition"], r["domain"], r["mask"], r["method"]) == ("clean", "mel,bands=16,ms=100.0", "topk:0.3", "gradient")
    )  # fmt: skip
    path = f"{recipe.data.root}/audio/{row['clip']}"
    from worlds import band_energy

    made = otoscope.explain(
        path,
        band_energy(),
        method="gradient",
        domain="mel,bands=16,ms=100",
        mask="topk:0.3",
        target=row["target"],
        seed=3,
    )
    scores, heard = made.scores.of(row["target"]), made.heard.of(row["target"])
    assert [row[k] for k in ("original", "kept", "removed")] == pytest.approx(list(scores.values()), abs=1e-5)
    assert [row[f"heard_{k}"] for k in ("original", "kept", "removed")] == pytest.approx(list(heard.values()), abs=1e-5)
    metrics = made.metrics()
    for name, value in metrics.items():
        assert row[name] == pytest.approx(value, abs=1e-4, nan_ok=True), name


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


def test_a_finished_study_computes_nothing_again(done, monkeypatch):
    recipe, out, _, _ = done
    before = {f: f.stat().st_mtime_ns for f in (out / "parts").iterdir()}
    monkeypatch.setattr(Worker, "rows", lambda *a: pytest.fail("computed again"))
    run_study(recipe, "cpu")
    assert {f: f.stat().st_mtime_ns for f in (out / "parts").iterdir()} == before


def test_lost_and_truncated_parts_are_made_again_to_the_same(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    parts = sorted((copy / "parts").iterdir())
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:200])
    (copy / "results.parquet").write_bytes(b"PAR1 half")
    whole = {f: f.stat().st_mtime_ns for f in parts[2:]}
    run_study(recipe.replace(out=str(copy)), "cpu")
    assert {f: f.stat().st_mtime_ns for f in whole} == whole
    timed = ("seconds", "attribution_seconds")
    for a, b in zip(rows_of(out), rows_of(copy), strict=True):
        assert {k for k in a if k not in timed and a[k] != b[k] and not (a[k] != a[k] and b[k] != b[k])} == set()


def test_killed_and_run_again_nothing_is_lost_or_doubled(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    stopped = recipe.replace(out=str(tmp_path / "stopped"))
    original, calls = Worker.rows, []

    def fuse(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Worker, "rows", fuse)
    with pytest.raises(KeyboardInterrupt):
        run_study(stopped, "cpu")
    assert len(list((tmp_path / "stopped" / "parts").iterdir())) == 3
    run_study(stopped, "cpu")
    assert [r["key"] for r in rows_of(tmp_path / "stopped")] == [r["key"] for r in rows_of(out)]


def test_size_of_batches_does_not_matter(done, tmp_path):
    recipe, out, _, _ = done
    other = recipe.replace(out=str(tmp_path / "other"), batch_size=1, chunk=4)
    run_study(other, "cpu")
    rows = {
        tuple(r[k] for k in ("clip", "condition", "method", "domain", "mask")): r for r in rows_of(tmp_path / "other")
    }
    for row in rows_of(out):
        twin = rows[tuple(row[k] for k in ("clip", "condition", "method", "domain", "mask"))]
        for name in ("kept", "removed", "heard_kept", "faithfulness", "deletion_auc"):
            assert row[name] == pytest.approx(twin[name], abs=1e-4), name


def test_another_recipe_is_refused_unless_it_extends(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    more = recipe.replace(out=str(copy), masks=(*recipe.masks, "positive"))
    with pytest.raises(OtoscopeError, match="another recipe"):
        run_study(more, "cpu")
    about = run_study(more, "cpu", extend=True)
    assert about["rows"] == 6 * 3 * 4


def test_a_clip_that_cannot_be_read_is_rows_of_failures(corpus, grid, tmp_path):
    root = tmp_path / "esc"
    shutil.copytree(corpus, root)
    (root / "audio" / "1-2.wav").write_bytes(b"RIFF no sound at all")
    recipe = load_study(grid, [f"out={tmp_path / 'out'}", f"data.root={root}"])
    about = run_study(recipe, "cpu")
    rows = rows_of(tmp_path / "out")
    bad = [r for r in rows if r["status"] == "failed"]
    assert about["failed"] == len(bad) == 2 * 3 * 3
    assert {r["clip"] for r in bad} == {"1-2.wav"}
    assert all("cannot read" in r["error"] and math.isnan(r["kept"]) for r in bad)
    assert len(rows) == 54


def test_a_clip_on_which_the_method_fails_is_a_failure_and_the_others_are_not(done, tmp_path, monkeypatch):
    recipe, _, _, _ = done

    class Fuse(worker.Pipeline):
        def _explained(self):
            if len(self.clips) > 1 or float(self.inspected.waveform[0, 0]) > 0:
                raise OtoscopeError("too much for me")
            return super()._explained()

    monkeypatch.setattr(worker, "Pipeline", Fuse)
    about = run_study(recipe.replace(out=str(tmp_path / "out")), "cpu")
    assert 0 < about["failed"] < about["rows"]


def test_a_dry_run_writes_nothing_and_counts_passes(grid, tmp_path):
    lines: list[str] = []
    found = run_study(load_study(grid, [f"out={tmp_path / 'out'}"]), "cpu", dry_run=True, log=lines.append)
    assert not (tmp_path / "out").exists()
    each = (1 + 12 + 10 + 1) * 2 + (8 + 12 + 10 + 1)  # method, masks as scored and heard, curves, top; of three pairs
    assert found["estimate"]["passes"] == 6 * (each + 1)
    assert found["estimate"]["rows"] == 54
    assert "54 rows" in lines[-1]


def test_rows_can_be_heard_again(done):
    _, out, _, _ = done
    replayer = Replayer(out, "cpu")
    row = next(r for r in rows_of(out) if r["condition"] == "cue" and r["method"].startswith("rise"))
    made = replayer(row)
    np.testing.assert_allclose(made.kept.samples + made.removed.samples, made.original.samples, atol=1e-6)
    from worlds import band_energy

    ears = band_energy()
    p = ears.probabilities(ears(torch.tensor(made.kept.samples))).detach()[0, row["target"]]
    assert float(p) == pytest.approx(row["heard_kept"], abs=1e-5)
    assert made.true is not None


def test_rows_of_other_weights_or_settings_are_not_heard(done, tmp_path):
    _, out, _, _ = done
    row = rows_of(out)[0]
    assert Replayer(out, "cpu")(row).kept.samples.size
    shutil.copytree(out, tmp_path / "other")
    content = json.loads((out / "recipe.json").read_text())
    for change in ({"classifiers": {"ears": {"model": "worlds:spectral"}}}, {"seed": 4}):
        (tmp_path / "other" / "recipe.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(OtoscopeError, match="the weights of 'ears' or the settings have changed"):
            Replayer(tmp_path / "other", "cpu")(row)


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


def test_numbers_that_names_could_be_are_told_apart_from_them(grid, tmp_path):
    text = (
        grid.read_text()
        .replace("  ears: {model", "  1: {model")
        .replace("domains: [", "  '1': {model: a}\ndomains: [", 1)
    )
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(ParameterError, match="classifiers names an entry twice"):
        load_study(tmp_path / "twice.yaml")
    named = grid.read_text().replace("  ears: {model", "  1: {title: Ears, model").replace(", title: Ears}", "}", 1)
    (tmp_path / "one.yaml").write_text(named)
    recipe = load_study(tmp_path / "one.yaml", ["classifiers.1.model=worlds:spectral"])
    assert list(recipe.classifiers) == ["1"]
    assert (recipe.classifiers["1"].model, recipe.classifiers["1"].title) == ("worlds:spectral", "Ears")


def test_what_a_method_found_out_stands_in_its_rows(done):
    rows = rows_of(done[1])
    assert {r["method_samples"] for r in rows if r["method"].startswith("rise")} == {8}
    assert all(math.isnan(r["method_samples"]) for r in rows if r["method"] == "gradient")


def test_a_folder_of_a_training_is_not_taken(grid, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "planted-tone", "task": "classifier"}))
    with pytest.raises(OtoscopeError, match=r"holds a study of another recipe.*give out=FOLDER"):
        run_study(load_study(grid, [f"out={tmp_path}"]), "cpu")
    assert json.loads((tmp_path / "recipe.json").read_text())["name"] == "planted-tone"


def test_a_folder_that_cannot_be_written_is_found_before_the_rehearsal(grid, tmp_path, monkeypatch):
    from otoscope.studies import run

    monkeypatch.setattr(run, "rehearse", lambda *_: pytest.fail("rehearsed"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OtoscopeError, match="choose another folder"):
        run_study(load_study(grid, [f"out={tmp_path / 'file' / 'out'}"]), "cpu")


def test_what_cannot_be_is_said_before_anything_runs(grid, tmp_path):
    out = f"out={tmp_path / 'out'}"
    wrong = {
        "methods.rise.method=rice": (UnknownNameError, "rice"),
        "methods.gradient.domains=[nowhere]": (UnknownNameError, "nowhere"),
        "masks=[]": (ParameterError, "at least one mask"),
        "masks=['topk:3']": (ParameterError, "keep"),
        "data.folds=[9]": (ParameterError, "folds"),
        "data.files=[x.wav]": (UnknownNameError, "x.wav"),
        "conditions.cue.target=cat": (ParameterError, "cat"),
        "conditions.cue.plant=banana": (UnknownNameError, "banana"),
        "compat=[everything]": (UnknownNameError, "everything"),
        "classifiers.ears.model=nobody": (OtoscopeError, "nobody"),
        "chunk=0": (ParameterError, "chunk"),
        "masks=['topk:0.2','topk:0.20']": (ParameterError, "are the same"),
        "domains=[time,'time,ms=100']": (ParameterError, "are the same"),
        'data.noises="\\0"': (ParameterError, "cannot be the name"),
        "data.labels=/not/there": (ParameterError, "not there"),
        "methods.o={method: 'oracle:ratio'}": (ParameterError, "a stem is known"),
        "conditions.cue.plant='tone,hz=300000'": (ParameterError, "Nyquist"),
        "methods.rise.scored_in=mel": (ParameterError, "needs the same grid"),
        "seed=-1": (ParameterError, "seed"),
        "methods.gradient.domains=[features]": (UnsupportedError, "features"),
    }
    for setting, (error, words) in wrong.items():
        with pytest.raises(error, match=words):
            run_study(load_study(grid, [out, setting]), "cpu")
        assert not (tmp_path / "out").exists(), setting


def test_the_record_is_plain_and_names_no_folder_of_this_machine(done, corpus):
    _, out, _, _ = done
    text = (out / "study.json").read_text()
    assert "NaN" not in text
    assert str(corpus) not in text
    assert json.loads(text)["classifiers"]["ears"]["title"] == "Ears"


def test_seals_hang_on_what_matters(done):
    recipe, out, _, _ = done

    def fingerprints(**changes):
        plan = Plan(recipe.replace(**changes), out, "cpu")
        return Jobs(plan).fingerprints()

    same = fingerprints()
    assert fingerprints(batch_size=1, threads=2, title="other") == same
    assert set(fingerprints(seed=4)).isdisjoint(same)
    assert set(fingerprints(compat=("double_softmax",))).isdisjoint(same)


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


@pytest.fixture(scope="module")
def mixed(grid, corpus, tmp_path_factory):
    """A study of mixtures of the toy's tones, with oracles, by an ear that knows them."""
    root = tmp_path_factory.mktemp("mixtures")
    name = f"mixtures,of=esc50:esc10=true,source={corpus},folds=1,pairs=2,snr_db=0+10,seconds=0.5,sample_rate=8000"
    settings = [
        f"data.name={json.dumps(name)}", f"data.root={root}", "data.folds=[]", f"out={root / 'out'}",
        "conditions={zero: {snr_db: 0}, ten: {snr_db: 10}}", "data.alone=0.5", "masks=[positive]", "measures.curve_steps=0",
        "methods.ratio={method: 'oracle:ratio'}", "methods.random={}",
        "methods.binary={method: 'oracle:binary'}", "domains=['mel,bands=32,ms=50', time, 'components,n=2']",
    ]  # fmt: skip
    recipe = load_study(grid, settings)
    recipe = recipe.replace(conditions={k: v for k, v in recipe.conditions.items() if k in ("zero", "ten")})
    return recipe, run_study(recipe, "cpu"), rows_of(root / "out")


def test_mixtures_go_to_the_condition_of_their_level(mixed):
    _, about, rows = mixed
    assert about["failed"] == 0
    assert {(r["condition"], r["snr_db"]) for r in rows} == {("zero", 0.0), ("ten", 10.0)}


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


def test_clips_whose_sound_alone_nobody_knows_are_left_out(mixed):
    recipe, _, _ = mixed
    plan = Plan(recipe.replace(data=recipe.data.replace(alone=0.999)), recipe_out(recipe), "cpu")
    assert len(plan.clips_of("zero")) == 2
    sure = [plan._probability_alone("ears", plan.examples[i]) for i in plan.clips_of("zero")]
    assert len(plan.clips_of("zero", "ears")) == sum(p >= 0.999 for p in sure)


def recipe_out(recipe):
    return Path(recipe.out)


@pytest.mark.parametrize(
    ("quirk", "column", "mask"),
    [
        ("quantile_ties", "mask_size", "positive:topk:0.9"),
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
    elif quirk == "constant_masks":
        assert values["on"] == [0.0] * 4
        assert values["off"] == pytest.approx([math.log(16 * 5)] * 4)
    else:
        assert all(on != off for on, off in zip(values["on"], values["off"], strict=True))
        assert max(values["on"]) < 63.3


def test_the_transposed_map_is_asked_for_by_name(grid, tmp_path):
    settings = [
        "compat=[transposed_cam]",
        "methods.cam={method: grad_cam}",
        f"out={tmp_path / 'out'}",
        "classifiers.ears.model=worlds:spectral",
    ]
    recipe = load_study(grid, settings)
    plan = Plan(recipe, tmp_path / "out", "cpu")
    assert {a.method for a in plan.asked if a.name == "cam"} == {"grad_cam,transposed=True"}


def test_a_method_can_be_scored_in_another_domain_of_the_same_grid(grid, tmp_path):
    more = ["classifiers.ears.model=worlds:spectral", "target=predicted", "masks=[minmax]"]
    hidden = "methods={lime: {method: 'lime,samples=20', domains: ['superpixels,of=features,hidden=mean'], scored_in: features}}"
    recipe = load_study(grid, [*more, hidden, f"out={tmp_path / 'out'}"])
    recipe = recipe.replace(conditions={"clean": recipe.conditions["clean"]}, methods={"lime": recipe.methods["lime"]})
    about = run_study(recipe, "cpu")
    assert about["failed"] == 0
    wrong = {"lime": recipe.methods["lime"].replace(scored_in="mel")}
    with pytest.raises(ParameterError, match="needs the same grid"):
        run_study(recipe.replace(methods=wrong, out=str(tmp_path / "wrong")), "cpu")


def test_keys_hang_on_the_clip_and_not_on_its_neighbours(done, tmp_path):
    recipe, out, _, _ = done
    run_study(recipe.replace(out=str(tmp_path / "ones"), chunk=1), "cpu")
    assert sorted(r["key"] for r in rows_of(tmp_path / "ones")) == sorted(r["key"] for r in rows_of(out))


def test_any_error_of_a_method_is_a_row(done, tmp_path, monkeypatch):
    recipe, _, _, _ = done

    class Broken(worker.Pipeline):
        def _explained(self):
            raise ZeroDivisionError("a third party's")

    monkeypatch.setattr(worker, "Pipeline", Broken)
    about = run_study(recipe.replace(out=str(tmp_path / "out")), "cpu")
    assert about["failed"] == about["rows"]
    assert rows_of(tmp_path / "out")[0]["error"] == "ZeroDivisionError: a third party's"


def test_a_broken_clip_with_labels_beside_it_fails_alone(corpus, grid, tmp_path):
    root = tmp_path / "esc"
    shutil.copytree(corpus, root)
    (root / "audio" / "1-2.wav").write_bytes(b"RIFF no sound at all")
    (root / "audio" / "1-2.txt").write_text("0.1\t0.2\ttone\n")
    about = run_study(load_study(grid, [f"out={tmp_path / 'out'}", f"data.root={root}"]), "cpu")
    assert about["failed"] == 2 * 3 * 3


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


def test_entries_whose_rows_could_not_be_told_apart_are_refused(grid, tmp_path):
    with pytest.raises(ParameterError, match="'gradient' and 'again'"):
        Plan(load_study(grid, ["methods.again={method: gradient, masks: [binary]}"]), tmp_path, "cpu")


def test_misspelled_classes_are_refused(grid, tmp_path):
    with pytest.raises(UnknownNameError, match="tnoe"):
        run_study(load_study(grid, ["conditions.cue.without=[tnoe]", f"out={tmp_path / 'x'}"]), "cpu")


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


def test_workers_give_the_same_rows_also_when_one_dies_and_is_replaced(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    tests = os.path.dirname(os.path.dirname(__file__))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    fuse = tmp_path / "fuse"
    fuse.write_text("")
    monkeypatch.setenv("OTOSCOPE_TEST_FUSE", str(fuse))
    deadly = recipe.classifiers["ears"].replace(model="worlds:mortal")
    run_study(recipe.replace(classifiers={"ears": deadly}, out=str(tmp_path / "many"), workers=2), "cpu")
    assert not fuse.exists()
    a, b = rows_of(out), rows_of(tmp_path / "many")
    assert [r["key"] for r in a] == [r["key"] for r in b]
    assert [r["kept"] for r in a] == pytest.approx([r["kept"] for r in b], abs=1e-6)


def spoiled(table, kind):
    import pyarrow as pa

    if kind == "a row short":
        return table.slice(1)
    if kind == "twice":
        return pa.concat_tables([table, table])
    if kind == "no rows":
        return table.slice(0, 0)
    return table.set_column(table.schema.get_field_index("kept"), "kept", pa.array(["x"] * table.num_rows))


@pytest.mark.parametrize("kind", ["a row short", "twice", "no rows", "text for numbers"])
def test_parts_whose_rows_are_not_theirs_are_made_again(done, tmp_path, kind):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    part = sorted((copy / "parts").iterdir())[0]
    table = pq.read_table(part)
    pq.write_table(spoiled(table, kind).replace_schema_metadata(table.schema.metadata), part)
    run_study(recipe.replace(out=str(copy)), "cpu")
    assert [r["key"] for r in rows_of(copy)] == [r["key"] for r in rows_of(out)]
    assert [r["kept"] for r in rows_of(copy)] == [r["kept"] for r in rows_of(out)]


def test_a_part_with_any_byte_flipped_is_made_again_or_whole(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    part = sorted((copy / "parts").iterdir())[0]
    content = bytearray(part.read_bytes())
    store = Jobs(Plan(recipe.replace(out=str(copy)), copy, "cpu")).store
    fingerprints = {store.file(s).name: s for s in Jobs(Plan(recipe, copy, "cpu")).fingerprints()}
    for place in range(0, len(content), 97):
        content[place] ^= 0xFF
        part.write_bytes(bytes(content))
        store.read(fingerprints[part.name])  # never raises
        content[place] ^= 0xFF


RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("studies/*.yaml"))


@pytest.mark.parametrize(
    "file", [f for f in RECIPES if f.stem not in ("methods", "truth", "planted")], ids=lambda f: f.stem
)
def test_every_shipped_study_is_a_recipe(file):
    recipe = load_study(file)
    assert recipe.classifiers
    assert recipe.methods

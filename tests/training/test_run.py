"""Training on a toy copy of ESC-50's layout: two classes, one of tones and one of noise."""

import copy
import csv
import json
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import otoscope
from otoscope.classifiers import build
from otoscope.cli import main
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError
from otoscope.datasets import load_dataset
from otoscope.training import Recipe, load_recipe, train
from otoscope.training.classifier.distil import Distiller
from otoscope.training.classifier.module import ClassifierModule
from otoscope.training.classifier.settings import TeacherSettings
from otoscope.training.classifier.task import make_classifier
from otoscope.training.data import Clips, EpochSampler
from otoscope.training.schedule import factor_at
from otoscope.training.score import evaluate
from otoscope.training.settings import DataSettings, OptimiserSettings
from worlds import killed_at


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("esc")
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    rng = np.random.default_rng(0)
    for fold in (1, 2, 3):
        for i in range(8):
            kind = i % 2
            hz = rng.uniform(500, 3000)
            n = 16000
            sound = np.sin(2 * np.pi * hz * np.arange(n) / 32000) if kind else rng.normal(size=n)
            name = f"{fold}-{i}.wav"
            soundfile.write(root / "audio" / name, 0.1 * sound, 32000)
            rows.append(f"{name},{fold},{10 + kind},{'tone' if kind else 'noise'},True,{fold}{i},A")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return root


def recipe_file(folder: Path, corpus: Path, extra: str = "") -> Path:
    file = folder / "toy.yaml"
    file.write_text(f"""
name: toy
seed: 3
data: {{name: "esc50,esc10=true", root: {corpus}, validation: [], test: 1, seconds: 0.5}}
model: {{architecture: "vgg5,channels=4"}}
augment: {{roll_s: 0.1, time_mask: 5, frequency_mask: 8}}
optimiser: {{epochs: 16, batch_size: 8, lr: 0.01, warmup_epochs: 1}}
out: {folder / "run"}
{extra}""")
    return file


MN = "model.architecture='mn,width=0.1,bn_momentum=0.5'"  # with batch norms and dropout, where these count


def quick(*overrides):
    return ["optimiser.epochs=2", *overrides]


def test_it_learns_tone_against_noise_and_writes_a_model_folder(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), [MN]), "cpu")
    assert result["accuracy"] >= 0.75
    assert result["clips"] == 8
    assert sum(map(sum, result["confusion"])) == 8
    folder = Path(result["folder"])
    model = otoscope.load_classifier(folder)
    assert model.labels == ("noise", "tone")
    card = (folder / "README.md").read_text()
    assert f"{100 * result['accuracy']:.2f} %" in card
    assert "| noise |" in card
    results = (folder / "results.json").read_text()
    assert json.loads(results)["recipe"]["seed"] == 3
    assert str(tmp_path) not in results  # no path of this machine goes out with a model
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 32000) * 0.1
    assert otoscope.classify(tone, model, sample_rate=32000, top_k=1)[0]["label"] in model.labels


def weights(folder):
    from safetensors.torch import load_file

    return load_file(Path(folder) / "model.safetensors")


def test_same_seed_same_weights_other_seed_other_weights(tmp_path, corpus):
    runs = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        file = recipe_file(tmp_path / name, corpus)
        runs.append(weights(train(load_recipe(file, [MN, "optimiser.epochs=1", f"seed={seed}"]), "cpu")["folder"]))
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_killed_and_run_again_gives_the_same_weights(tmp_path, corpus):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train(load_recipe(recipe_file(tmp_path / "whole", corpus), [MN, "optimiser.epochs=4"]), "cpu")
    file = recipe_file(tmp_path / "killed", corpus)
    recipe = load_recipe(file, [MN, "optimiser.epochs=4"])
    killed_at(tmp_path / "killed" / "run" / "last.ckpt", train, recipe, "cpu")
    again = train(recipe, "cpu")
    a, b = weights(whole["folder"]), weights(again["folder"])
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_recipes_network_settings_reach_the_network(tmp_path, corpus, monkeypatch):
    from otoscope.training import run

    made = []

    def keep(_trainer, _settings, module, *_):
        made.append(module.classifier.eval())
        return 0.0

    monkeypatch.setattr(run, "fit_module", keep)
    overrides = ["model.architecture='mn,width=0.2,dropout=0.7,bn_momentum=0.5'"]
    train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    network = made[0].network
    assert network.classifier[4].p == 0.7
    assert network.features[0][1].momentum == 0.5
    assert network.features[16][0].out_channels == 192


def test_a_folder_with_another_recipe_is_refused(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus)
    train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")
    with pytest.raises(OtoscopeError, match="holds a run of another recipe"):
        train(load_recipe(file, ["optimiser.epochs=2"]), "cpu")


def test_folds_must_be_apart(tmp_path, corpus):
    for overrides in (["data.train=[1, 2]"], ["data.validation=[1]"], ["data.validation=[2]", "data.train=[2]"]):
        with pytest.raises(ParameterError, match="must be apart"):
            train(load_recipe(recipe_file(tmp_path, corpus), [*overrides, f"out={tmp_path / overrides[0]}"]), "cpu")


def test_a_fold_that_does_not_exist_is_named(tmp_path, corpus):
    with pytest.raises(ParameterError, match=r"has folds \[1, 2, 3\]; got \[9\]"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["data.test=9"]), "cpu")


def test_validation_folds_are_looked_at(tmp_path, corpus):
    overrides = ["optimiser.epochs=5", "data.validation=next"]
    train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    events = list((tmp_path / "run" / "tensorboard").rglob("events*"))
    assert events
    assert b"val/accuracy" in events[0].read_bytes()
    assert b"train/loss" in events[0].read_bytes()


def toy(labels, multilabel=False, seed=0):
    torch.manual_seed(seed)
    return build("mn", labels, multilabel=multilabel, settings={"width": 0.1}, name="toy").eval()


def test_distillation_leaves_the_teacher_alone_and_out_of_the_file(tmp_path, corpus, monkeypatch):
    from otoscope.training.classifier import task

    teacher = toy(["x", "y", "z"], multilabel=True)
    before = teacher.digest()
    monkeypatch.setattr(task, "load_classifier", lambda *_: teacher)
    more = "teacher: {model: mn04_as, hints: 1.0, hint_layers: [features.6, features.12]}"
    result = train(load_recipe(recipe_file(tmp_path, corpus, more), quick(MN)), "cpu")
    assert teacher.digest() == before
    assert set(weights(result["folder"])) == set(teacher.network.state_dict())  # the student's names, no projections
    assert "distilled from `mn04_as`" in (Path(result["folder"]) / "README.md").read_text()


def test_a_run_that_is_done_is_not_repeated(tmp_path, corpus, monkeypatch):
    from otoscope.training import run
    from otoscope.training.classifier import task

    file = recipe_file(tmp_path, corpus)
    first = train(load_recipe(file, quick()), "cpu")
    monkeypatch.setattr(run, "fit_module", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(task, "evaluate", lambda *_: pytest.fail("looked at the test fold again"))
    again = train(load_recipe(file, quick()), "cpu")
    assert again["confusion"] == first["confusion"]
    assert again["folder"] == first["folder"]


def test_every_fold_is_the_test_fold_once(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1", "folds=all"]), "cpu")
    assert list(result["folds"]) == ["1", "2", "3"]
    values = list(result["folds"].values())
    assert result["accuracy"] == pytest.approx(np.mean(values))
    assert result["std"] == pytest.approx(np.std(values, ddof=1))
    assert result["clips"] == 24
    tested = [
        {
            row.split(",")[0]
            for row in (tmp_path / "run" / f"fold-{k}/model/predictions.csv").read_text().split("\n")[1:-1]
        }
        for k in (1, 2, 3)
    ]
    assert len(set.union(*tested)) == 24
    assert all(name.startswith("1-") for name in tested[0])


def test_weights_stored_as_halves_are_those_that_were_scored(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), quick("half=true")), "cpu")
    stored = weights(result["folder"])
    assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}
    model = otoscope.load_classifier(result["folder"])
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    recipe = load_recipe(recipe_file(tmp_path, corpus))
    test = load_dataset(recipe.data.name, recipe.data.root).folds([1])
    assert evaluate(model, test, recipe.data)["predictions"] == [
        {**row, "p": pytest.approx(row["p"], abs=1e-6)} for row in read_predictions(result["folder"])
    ]


def read_predictions(folder):
    with (Path(folder) / "predictions.csv").open() as lines:
        return [{**row, "p": float(row["p"])} for row in csv.DictReader(lines)]


def test_a_body_starts_from_another_tasks_weights(tmp_path, corpus):
    source = toy(["a", "b", "c"], seed=5)
    source.save_pretrained(tmp_path / "start")
    recipe = load_recipe(
        recipe_file(tmp_path, corpus),
        ["model.architecture='mn,width=0.1'", f"model.start={tmp_path / 'start'}"],
    )
    data = load_dataset(recipe.data.name, recipe.data.root)
    made, own = make_classifier(recipe, data).network.state_dict(), source.network.state_dict()
    differ = {k for k in own if own[k].shape != made[k].shape or not torch.equal(own[k], made[k])}
    assert differ == {"classifier.5.weight", "classifier.5.bias"}


def test_a_body_of_another_architecture_is_refused(tmp_path, corpus):
    toy(["a", "b"]).save_pretrained(tmp_path / "start")
    recipe = load_recipe(
        recipe_file(tmp_path, corpus),
        ["model.architecture='mn,width=0.2'", f"model.start={tmp_path / 'start'}"],
    )
    with pytest.raises(WeightsError, match="do not fit this network"):
        make_classifier(recipe, load_dataset(recipe.data.name, recipe.data.root))


def test_a_distillers_head_and_hints_start_far_and_reach_the_student():
    student, teacher = toy(["a"]), toy(["x", "y"], multilabel=True)
    settings = TeacherSettings(hints=1.0, hint_layers=("features.6", "features.12=features.13"))
    distiller = Distiller(student, teacher, settings)
    assert set(distiller.projections) == {"features_6", "features_12"}
    waveform = 0.1 * torch.randn(3, 16000)
    with distiller.record() as recorded:
        logits = student(waveform)
    loss = distiller(waveform, logits, recorded)
    assert loss.item() > 0.5  # hints of an untrained student explain nothing of the teacher's variance
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert student.network.features[0][0].weight.grad.abs().sum() > 0


def test_the_same_classes_are_compared_directly_and_agree_with_themselves():
    student = toy(["a", "b", "c"])
    with torch.no_grad():
        student.network.classifier[-1].weight *= 100
    twin = copy.deepcopy(student)
    waveform = 0.1 * torch.randn(3, 16000)
    distiller = Distiller(student, twin, TeacherSettings(temperature=2.0))
    assert distiller.head is None
    logits = student(waveform).detach()
    assert distiller(waveform, logits, {}).item() == pytest.approx(0, abs=1e-5)
    other = logits + torch.tensor([1.0, 0, 0])
    p, q = (logits / 2).softmax(-1), (other / 2).softmax(-1)
    expected = 4 * (p * (p / q).log()).sum(-1).mean()
    assert distiller(waveform, other, {}).item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_transformer_with_patch_out_can_be_taught():
    torch.manual_seed(0)
    settings = {"dim": 16, "depth": 1, "heads": 2, "patchout_freq": 3, "patchout_time": 2}
    student, teacher = build("passt", ["a"], settings=settings), toy(["x", "y"], multilabel=True)
    distiller = Distiller(student, teacher, TeacherSettings())
    waveform = 0.1 * torch.randn(2, 32000)
    student.train()
    with distiller.record() as recorded:
        logits = student(waveform)
    (recorded_tokens,) = recorded[distiller.layer]
    assert recorded_tokens.shape[1] < 2 + 12 * 9
    distiller(waveform, logits, recorded).backward()
    assert student.network.cls_token.grad.abs().sum() > 0


def test_a_teacher_at_another_rate_hears_the_sound_at_its_own():
    student = toy(["a"])
    heard = []

    class Ear(torch.nn.Module):
        def forward(self, waveform):
            heard.append(waveform.shape)
            return waveform[:, :1]

    teacher = otoscope.wrap(Ear(), sample_rate=16000, labels=["z"], multilabel=True)
    distiller = Distiller(student, teacher, TeacherSettings())
    waveform = torch.zeros(2, 16000)
    with distiller.record() as recorded:
        logits = student(waveform)
    distiller(waveform, logits, recorded)
    assert heard[-1] == (2, 8000)


def test_schedule_warms_up_and_decays_to_zero():
    settings = OptimiserSettings(epochs=10, warmup_epochs=2, lr=1.0)
    assert [factor_at(settings, e) for e in (0.2, 1, 2, 6, 10)] == pytest.approx([0.1, 0.5, 1.0, 0.5, 0.0], abs=1e-12)
    module = ClassifierModule(toy(["a", "b"]), Recipe(optimiser=settings), None, batches=5)
    (factor,) = set(module.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx(1.0)
    assert factor(49) == pytest.approx(0.0, abs=1e-12)


def test_the_published_ramp():
    """Exponential warm-up over 10 epochs, full to 10, linear over 65 down to a hundredth."""
    settings = OptimiserSettings(
        epochs=80,
        warmup="exponential",
        warmup_epochs=10,
        schedule="ramp",
        ramp_start=10,
        ramp_epochs=65,
        last_factor=0.01,
    )
    expected = [np.exp(-5), np.exp(-5 / 4), 1.0, 1 - 0.99 * 20 / 65, 0.01, 0.01]
    assert [factor_at(settings, e) for e in (0, 5, 10, 30, 75, 80)] == pytest.approx(expected)


def clips(corpus, **settings):
    data = load_dataset("esc50,esc10=true", corpus)
    return data, DataSettings(root=str(corpus), seconds=settings.pop("seconds", 0.5), **settings)


def test_sampler_depends_on_seed_and_epoch_alone(corpus):
    data, settings = clips(corpus)
    a, b = (EpochSampler(Clips(data, 8000, settings, 0), 1) for _ in range(2))
    first = list(a)
    assert sorted(first) == list(range(24))
    assert list(b) == first
    b.set_epoch(1)
    assert list(b) != first
    assert b.clips.epoch == 1


def test_two_processes_share_an_epoch(corpus, monkeypatch):
    from otoscope.training import data as module

    data, settings = clips(corpus)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(module, "_place", lambda rank=rank: (rank, 2))
        parts.append(list(EpochSampler(Clips(data, 8000, settings, 0), 1)))
    assert sorted(parts[0] + parts[1]) == list(range(24))


def test_clips_are_cut_padded_and_cropped(corpus):
    data, settings = clips(corpus, seconds=0.75)
    whole, index = Clips(data, 32000, settings)[3]
    assert whole.shape == (24000,)
    assert index == data.examples[3].index
    assert whole[:16000].abs().max() > 0
    assert torch.equal(whole[16000:], torch.zeros(8000))
    data, settings = clips(corpus, crop_s=0.1)
    cropped = Clips(data, 32000, settings, seed=4)
    one = cropped[3][0]
    assert one.shape == (3200,)
    assert torch.equal(one, cropped[3][0])
    places = [i for i in range(12801) if torch.equal(whole[i : i + 3200], one)]
    assert len(places) == 1
    cropped.epoch = 1
    assert not torch.equal(one, cropped[3][0])
    assert torch.equal(Clips(data, 32000, settings)[3][0], whole[:16000])  # no seed: whole, for validation and test


def test_peaks_and_noise_are_as_the_recipe_says(corpus):
    data, settings = clips(corpus, peak=True)
    assert Clips(data, 32000, settings)[2][0].abs().max() == pytest.approx(1.0)
    clean = Clips(data, 32000, clips(corpus)[1])[2][0]
    noisy = Clips(data, 32000, clips(corpus, contaminate="white,snr_db=10")[1])[2][0]
    residue = noisy - clean * (noisy @ clean) / (clean @ clean)
    assert 10 * torch.log10((clean @ clean) / (residue @ residue)) == pytest.approx(10, abs=0.5)


def test_the_best_epoch_is_kept_and_bad_ones_stop_the_run(tmp_path, corpus):
    overrides = ["data.validation=next", "optimiser.keep=best", "optimiser.early_stopping=1", "optimiser.epochs=30"]
    result = train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    best = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["epoch"] < 29
    state = weights(result["folder"])
    assert all(torch.equal(state[k], best["state_dict"][f"network.{k}"]) for k in state)


def test_stopping_early_without_a_validation_fold_is_refused(tmp_path, corpus):
    with pytest.raises(ParameterError, match="need a validation fold"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.early_stopping=3"]), "cpu")


def test_weights_are_averaged_over_epochs(tmp_path, corpus):
    plain, averaged = tmp_path / "p", tmp_path / "a"
    for folder in (plain, averaged):
        folder.mkdir()
    states = []
    one = load_recipe(recipe_file(plain, corpus), [MN, "optimiser.epochs=2", "optimiser.schedule=constant"])
    first = train(one.replace(optimiser=one.optimiser.replace(epochs=1), out=str(plain / "1")), "cpu")
    states = [weights(first["folder"]), weights(train(one, "cpu")["folder"])]
    both = load_recipe(
        recipe_file(averaged, corpus),
        [MN, "optimiser.epochs=2", "optimiser.schedule=constant", "optimiser.average_from=1"],
    )
    mean = weights(train(both, "cpu")["folder"])
    key = "classifier.5.weight"
    assert torch.allclose(mean[key], (states[0][key] + states[1][key]) / 2, atol=1e-6)
    assert not torch.allclose(mean[key], states[1][key], atol=1e-6)


def test_trainer_settings_reach_lightning_and_unknown_ones_do_not(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus, "trainer: {limit_train_batches: 1}")
    result = train(load_recipe(file, quick()), "cpu")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert result["clips"] == 8
    with pytest.raises(UnknownNameError, match="did you mean 'devices'"):
        train(load_recipe(file, ["trainer.device=2", f"out={tmp_path / 'other'}"]), "cpu")


@pytest.mark.parametrize(
    ("override", "error", "words"),
    [
        ("trainer.callbacks=[]", ParameterError, "callbacks is set by the recipe itself"),
        ("trainer.max_epochs=0", ParameterError, "max_epochs is set by the recipe itself"),
        ("trainer.accelerator=tpu", ParameterError, "Lightning refused"),
        ("trainer.limit_train_batches=5.5", ParameterError, "Lightning refused"),
        ("precision=12-mixed", ParameterError, "Lightning refused"),
        ("data.test=[]", ParameterError, "names no fold"),
        ("optimiser.average_from=9", ParameterError, "lies beyond epochs=2"),
        ("name=../x", ParameterError, "a file's name"),
        ("trainer.foo=2020-01-01", ParameterError, "texts, numbers, lists"),
        ("data.settings.mn=5", ParameterError, "settings: mn must be a str"),
        ("data.contaminate=white,snr=3", UnknownNameError, "snr_db"),
        ("teacher.model=nobody", UnknownNameError, "unknown model"),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_the_folder_free(tmp_path, corpus, override, error, words):
    with pytest.raises(error, match=words):
        train(load_recipe(recipe_file(tmp_path, corpus), quick(override)), "cpu")
    assert not [file for file in (tmp_path / "run").rglob("*") if file.is_file()]


def test_after_a_refusal_another_recipe_runs(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus)
    with pytest.raises(ParameterError, match="Lightning refused"):
        train(load_recipe(file, quick("trainer.accelerator=tpu")), "cpu")
    assert train(load_recipe(file, ["optimiser.epochs=1", "augment.mixup_on=features"]), "cpu")["clips"] == 8


def test_a_teacher_does_not_go_with_mixed_features(tmp_path, corpus):
    overrides = quick("augment.mixup_on=features", "teacher.model=esc10-mn")
    with pytest.raises(ParameterError, match="a teacher hears waveforms"):
        train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")


def test_all_folds_are_checked_before_the_first_is_trained(tmp_path, corpus, monkeypatch):
    from otoscope.training import run

    monkeypatch.setattr(run, "fit_module", lambda *_: pytest.fail("trained"))
    with pytest.raises(ParameterError, match="must be apart"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["folds=all", "data.validation=3"]), "cpu")
    with pytest.raises(ParameterError, match="one fold after the other"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["folds=all", "trainer.devices=2"]), "cpu")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "damaged"), (b"text", "damaged"), (None, "of another network"), ("cut", "damaged")],
)
def test_a_checkpoint_that_cannot_be_gone_on_from_is_named(tmp_path, corpus, content, words):
    file = recipe_file(tmp_path, corpus)
    train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")
    last = tmp_path / "run" / "last.ckpt"
    (tmp_path / "run" / "model" / "results.json").unlink()
    if content is None:
        torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 0, "callbacks": {}}, last)
    else:
        last.write_bytes(last.read_bytes()[:5000] if content == "cut" else content)
    with pytest.raises(OtoscopeError, match=f"cannot go on from .*last.ckpt: it is {words}"):
        train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")


@pytest.mark.parametrize("file", ["recipe.json", "model/results.json"])
def test_damaged_records_of_a_run_are_named(tmp_path, corpus, file):
    train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1"]), "cpu")
    (tmp_path / "run" / file).write_bytes(b"\xff\xfe{")
    with pytest.raises(OtoscopeError, match="is damaged"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1"]), "cpu")


def resumed(folder, corpus, overrides, stop_after, extra=""):
    """The result of a run that stops after an epoch, as a kill there would, and is begun again."""
    folder.mkdir()
    recipe = load_recipe(recipe_file(folder, corpus, extra), overrides)
    module = ClassifierModule.on_train_epoch_start

    def stop(self):
        if self.current_epoch == stop_after:
            raise SystemExit
        module(self)

    ClassifierModule.on_train_epoch_start = stop
    try:
        with pytest.raises(SystemExit):
            train(recipe, "cpu")
    finally:
        ClassifierModule.on_train_epoch_start = module
    return train(recipe, "cpu")


@pytest.mark.parametrize("overrides", [["data.workers=1", "data.crop_s=0.2"], [MN, "optimiser.average_from=2"]])
def test_gone_on_with_is_as_if_never_stopped(tmp_path, corpus, overrides):
    overrides = ["optimiser.epochs=4", *overrides]
    (tmp_path / "whole").mkdir()
    whole = weights(train(load_recipe(recipe_file(tmp_path / "whole", corpus), overrides), "cpu")["folder"])
    again = weights(resumed(tmp_path / "stopped", corpus, overrides, 2)["folder"])
    assert all(torch.equal(whole[k], again[k]) for k in whole)


@pytest.mark.parametrize(
    "overrides",
    [
        [MN, "optimiser.average_from=1", "optimiser.schedule=constant"],
        ["data.validation=next", "optimiser.early_stopping=1", "optimiser.epochs=30", "optimiser.lr=1e-9"],
        ["data.validation=next", "optimiser.keep=best"],
        ["model.architecture='dymn,width=0.1'", "model.temperature_from=9"],
    ],
)
def test_stopped_between_the_last_epoch_and_the_results_it_ends_with_the_same(tmp_path, corpus, overrides, monkeypatch):
    recipe = load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=3", *overrides])
    first = train(recipe, "cpu")
    before, config = weights(first["folder"]), (Path(first["folder"]) / "config.json").read_text()
    (Path(first["folder"]) / "results.json").unlink()
    again = train(recipe, "cpu")
    after = weights(again["folder"])
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert (Path(again["folder"]) / "config.json").read_text() == config
    if "dymn" in overrides[0]:
        assert json.loads(config)["settings"]["temperature"] == 7.0


def test_what_was_mixed_in_is_recorded(tmp_path, corpus):
    overrides = quick("data.contaminate='clip,snr_db=3,seed=2'")
    folder = Path(train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")["folder"])
    with (folder / "predictions.csv").open() as lines:
        records = [json.loads(row["contamination"]) for row in csv.DictReader(lines)]
    assert len(records) == 8
    assert {r["snr_db"] for r in records} == {3.0}
    assert {r["seed"] for r in records} == {2}
    assert not any(r["file"].split("/")[-1].startswith("1-") for r in records)  # never a clip of the test fold


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(tmp_path, corpus, monkeypatch, capfd):
    """A limit on the size of files stands for the full disk: the second checkpoint cannot be written."""
    file, overrides = recipe_file(tmp_path, corpus, "loggers: []"), [MN, "optimiser.epochs=4"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self):
        if self.current_epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "on_train_epoch_end", full)
        try:
            with pytest.raises(SystemExit) as left:
                main(["train", str(file), *overrides, "--device", "cpu"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capfd.readouterr().err
    assert left.value.code == 2, said
    assert "the last good checkpoint stays" in said
    assert "Traceback" not in said
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] in (1, 2)
    again = train(load_recipe(file, overrides), "cpu")
    (tmp_path / "whole").mkdir()
    whole = train(load_recipe(recipe_file(tmp_path / "whole", corpus, "loggers: []"), overrides), "cpu")
    a, b = weights(whole["folder"]), weights(again["folder"])
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_infinite_loss_is_said(tmp_path, corpus, monkeypatch):
    features = ClassifierModule.features
    monkeypatch.setattr(ClassifierModule, "features", lambda self, *a: features(self, *a) * float("nan"))
    with pytest.raises(OtoscopeError, match=r"the loss is nan at step 0 \(epoch 0\); lower optimiser\.lr"):
        train(load_recipe(recipe_file(tmp_path, corpus), quick()), "cpu")

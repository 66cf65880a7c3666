"""Distillation: what the student learns from a teacher, and that the teacher stays as it was."""

import copy
from pathlib import Path

import pytest
import torch

import otoscope
from otoscope.classifiers import build
from otoscope.training import load_recipe, train
from otoscope.training.classifier.distil import Distiller
from otoscope.training.classifier.settings import TeacherSettings
from training.classifier_worlds import MN, quick, recipe_file, toy, weights


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

"""Losses of a classifier."""

import pytest

from otoscope.core.errors import OtoscopeError
from otoscope.training import load_recipe, train
from otoscope.training.classifier.module import ClassifierModule
from training.classifier_worlds import quick, recipe_file


def test_infinite_loss_is_said(tmp_path, corpus, monkeypatch):
    features = ClassifierModule.features
    monkeypatch.setattr(ClassifierModule, "features", lambda self, *a: features(self, *a) * float("nan"))
    with pytest.raises(OtoscopeError, match=r"the loss is nan at step 0 \(epoch 0\); lower optimiser\.lr"):
        train(load_recipe(recipe_file(tmp_path, corpus), quick()), "cpu")

"""A model folder, as `--model FOLDER` takes it."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A tiny MN with random weights."""
    from otoscope.classifiers.load import build_mn

    labels = ["dog", "siren", "rain", "clock tick"]
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_mn(0.1, labels, multilabel=False, name="tiny")
        for norm in (m for m in model.network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.momentum = 1.0  # of the statistics of one pass, without which random weights hear nothing
        with torch.no_grad():
            model.network.train()(model.frontend(0.2 * torch.randn(4, 16000)))
            model.network.classifier[-1].weight *= 20
    config = {"architecture": "mn", "name": "tiny", "width": 0.1, "labels": labels, "multilabel": False, "info": {}}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.network.state_dict(), folder / "model.safetensors")
    return folder

"""Refinement in steps."""

from __future__ import annotations

import pytest

from otoscope.datasets import load_dataset
from otoscope.prototypes import (
    TuneSettings,
    accuracy,
    encode_clips,
    list_prototypes,
    prototype_network,
    refine_in_steps,
    refine_prototypes,
)


def test_each_step_has_its_size_and_accuracy(tones):
    model, clips = tones
    data = load_dataset("folder", clips.examples[0].path.parent)
    parts, said = data.parts(validation=[2]), []
    steps = refine_in_steps(model, parts, share=1 / 3, channels=2, tuning=TuneSettings(epochs=2), progress=said.append)
    assert [s.name for s in steps] == ["as it was", "prototypes merged", "channels dropped", "tuned"]
    assert said == ["encoding 18 clips", "merging prototypes", "dropping 2 channels", "tuning for 2 epochs"]
    for step in steps:
        network = prototype_network(step.classifier)
        assert step.sizes()["prototypes"] == len(list_prototypes(step.classifier))
        assert step.sizes()["channels"] == network.prototypes.maps.shape[1]
        for name, part in parts.items():
            assert step.accuracy[name] == pytest.approx(accuracy(network, encode_clips(step.classifier, part)))
    assert steps[0].classifier is model
    assert len(list_prototypes(steps[1].classifier)) == len(list_prototypes(refine_prototypes(model, share=1 / 3))) == 4
    assert [s.name for s in refine_in_steps(model, {"training": data}, compat=True)] == [
        "as it was",
        "prototypes merged",
    ]

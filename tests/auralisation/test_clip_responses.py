"""How strongly clips draw features, and how much these matter."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from feature_worlds import BAND, ONSET, RATE, bursts, planted_classifier, tone
from otoscope.auralisation.clip_responses import clip_responses
from otoscope.core.errors import ParameterError
from otoscope.datasets import Example


@pytest.fixture
def examples(tmp_path):
    sounds = {"band": tone(1100), "burst": bursts((1.2,))}
    made = []
    for i, (name, sound) in enumerate(sounds.items()):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
        made.append(Example(tmp_path / f"{name}.wav", name, fold=1, source=name, index=i))
    return made


def test_written_out(examples):
    torch.manual_seed(0)
    world = planted_classifier()
    found = clip_responses(world, ["planted"], examples)["planted"]
    for row, sound in enumerate((tone(1100), bursts((1.2,)))):
        maps = world.network.planted(world.network.conv(world.features(torch.from_numpy(sound)[None])[:, 0])).detach()[
            0
        ]
        np.testing.assert_allclose(found.strength[row], maps.square().mean(1).sqrt(), rtol=1e-4, atol=1e-7)
        weight = world.network.head.weight.detach()
        logits = world(torch.from_numpy(sound)[None])[0].detach()
        best = int(logits.argmax())
        slope = weight[best] - weight[1 - best]  # of the log odds, by the mean of each map
        np.testing.assert_allclose(found.relevance[row], (slope * maps.mean(1)).abs(), rtol=1e-3, atol=1e-6)
    assert found.strength[:, BAND].argmax() == 0
    assert found.strength[:, ONSET].argmax() == 1
    assert found.peak_s[1, ONSET] == pytest.approx(1.2, abs=0.05)


def test_relevance_is_what_less_of_the_map_changes(examples, tmp_path):
    """Where the gradient has both signs within a map: the slope of the decision as the map is scaled down."""
    world = planted_classifier(1)
    world.axes["plain.0"] = "channel freq frame"
    soundfile.write(tmp_path / "both.wav", tone(300) + bursts((0.5,)), RATE, subtype="FLOAT")
    both = Example(tmp_path / "both.wav", "both", fold=1, source="both", index=2)
    found = clip_responses(world, ["plain.0"], [*examples, both])["plain.0"]
    for row, sound in enumerate((tone(1100), bursts((1.2,)), tone(300) + bursts((0.5,)))):
        given = world.features(torch.from_numpy(sound)[None]).detach()
        best = int(world.logits(given).argmax())
        up, down = (world.logits(given * s)[0].detach() for s in (1.001, 0.999))
        change = (up[best] - up[1 - best]) - (down[best] - down[1 - best])
        assert found.relevance[row, 0] == pytest.approx(abs(float(change)) / 0.002, rel=0.01)


def test_no_gradients_no_relevance(examples):
    world = planted_classifier()
    world._differentiable = False
    found = clip_responses(world, ["planted"], examples)["planted"]
    assert np.isnan(found.relevance).all()
    assert found.strength.max() > 0


def test_no_clips():
    with pytest.raises(ParameterError, match="there are no clips"):
        clip_responses(planted_classifier(), ["planted"], [])

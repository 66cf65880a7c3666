"""Clips as a prototype network sees them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from otoscope.core.errors import ParameterError
from otoscope.datasets import load_dataset
from otoscope.prototypes import accuracy, encode_clips, prototype_network
from otoscope.prototypes.clips import decide, window


def test_maps_are_those_of_the_encoder_and_decisions_those_of_the_network(tones):
    model, clips = tones
    network = prototype_network(model)
    logits, distances = decide(network, clips)
    for i in (0, 7, 17):
        sound = torch.from_numpy(window(model, clips.examples[i]))[None]
        with torch.no_grad():
            own = network.encoder(model.features(sound)).map[0]
            torch.testing.assert_close(clips.maps[i], own)
            torch.testing.assert_close(model(sound)[0], logits[i], rtol=1e-4, atol=1e-5)
        slow = [
            float(network.prototypes.scale) * float((own - p).square().mean()) for p in network.prototypes.maps.detach()
        ]
        torch.testing.assert_close(distances[i], torch.tensor(slow), rtol=1e-3, atol=1e-4)
    right = sum(int(logits[i].argmax()) == int(clips.targets[i]) for i in range(len(clips)))
    assert accuracy(network, clips) == pytest.approx(right / 18)
    assert right >= 16


def test_clips_are_encoded_in_batches_of_any_size_and_labels_matched_by_name(tones):
    model, clips = tones
    folder = clips.examples[0].path.parent
    data, done = load_dataset("folder", folder), []
    mixed = dataclasses.replace(
        data, labels=data.labels[::-1], examples=tuple(dataclasses.replace(e, index=2 - e.index) for e in data.examples)
    )
    found = encode_clips(model, mixed, batch_size=5, progress=done.append)
    assert done == [5, 10, 15, 18]
    torch.testing.assert_close(found.maps, clips.maps)
    assert torch.equal(found.targets, clips.targets)


def test_data_that_does_not_fit(tones):
    model, clips = tones
    data = load_dataset("folder", clips.examples[0].path.parent)
    with pytest.raises(ParameterError, match=r"has no clips in these folds"):
        encode_clips(model, dataclasses.replace(data, examples=()))
    with pytest.raises(ParameterError, match=r"has no class 'whistle' of the data set"):
        encode_clips(model, dataclasses.replace(data, labels=("high", "low", "whistle")))

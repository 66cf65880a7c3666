"""Prototypes as sounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.core.errors import UnknownNameError, UnsupportedError
from otoscope.prototypes import nearest_clips, prototype_sounds
from otoscope.prototypes.clips import window
from otoscope.prototypes.sounds import decode
from prototype_worlds import LENGTH, tone_network, write_tones


def test_the_nearest_clips_are_those_of_the_network(tones):
    model, clips = tones
    numbers, distances = nearest_clips(model, clips, 3)
    assert numbers.shape == distances.shape == (6, 3)
    maps, scale = model.network.prototypes.maps.detach(), float(model.network.prototypes.scale)
    for p in range(6):
        slow = sorted((scale * float((clips.maps[i] - maps[p]).square().mean()), i) for i in range(18))
        assert numbers[p].tolist() == [i for _, i in slow[:3]]
        assert distances[p].tolist() == pytest.approx([d for d, _ in slow[:3]], rel=1e-3, abs=1e-4)
    assert nearest_clips(model, clips, 99)[0].shape == (6, 18)


def test_sounds_are_scored_as_they_are_written(tones):
    model, clips = tones
    found = prototype_sounds(model, clips)
    assert [s.id for s in found] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    for sound in found:
        assert sound.decoded.dtype == sound.real.dtype == np.float32
        assert abs(len(sound.decoded) - LENGTH) <= 512
        assert np.abs(sound.decoded).max() <= 1
        np.testing.assert_array_equal(sound.real, window(model, sound.clip))
        for form in ("decoded", "real"):
            with torch.no_grad():
                p = model.probabilities(model(torch.from_numpy(getattr(sound, form))[None]))[0].numpy()
            np.testing.assert_allclose(sound.heard[form], p, atol=1e-5)
            assert sound.is_heard(form) == (int(p.argmax()) == sound.label)
        assert sound.clip.label == model.labels[sound.label]
    assert all(s.is_heard("real") for s in found)
    np.testing.assert_array_equal(found[2].decoded, prototype_sounds(model, clips, ["p3"])[0].decoded)
    with pytest.raises(UnknownNameError, match="unknown prototype 'p0'"):
        prototype_sounds(model, clips, ["p0"])


def test_a_map_is_decoded_with_the_masks_of_the_donor(tones, monkeypatch):
    model, clips = tones
    seen = []
    real = model.network.decoder.forward
    monkeypatch.setattr(
        model.network.decoder, "forward", lambda latent, masks: seen.append((latent, masks)) or real(latent, masks)
    )
    for donor in (0, 10):
        sound = window(model, clips.examples[donor])
        decode(model, clips.maps[0], sound)
        with torch.no_grad():
            expected = model.network.encoder(model.features(torch.from_numpy(sound)[None])).masks
        latent, masks = seen[-1]
        torch.testing.assert_close(latent[0], clips.maps[0])
        assert all(torch.equal(a, b) for a, b in zip(masks, expected, strict=True))


def test_the_front_end_of_the_caller_stays_where_it_is(tones, monkeypatch):
    model, clips = tones
    monkeypatch.setattr(
        type(model.frontend), "cpu", lambda self: pytest.fail("moved") if self is model.frontend else self
    )
    decode(model, clips.maps[0], window(model, clips.examples[0]))


def test_a_sound_has_the_features_that_were_decoded(tmp_path):
    """With a decoder that gives the features of a tone, the tone comes back, where it is and as loud as it is."""
    model, clips = tone_network(write_tones(tmp_path, 2))
    donor = window(model, clips.examples[4])
    wanted = model.features(torch.from_numpy(donor)[None]).detach()
    model.network.decoder.forward = lambda latent, masks: wanted
    made = decode(model, clips.maps[4], donor)
    n = min(len(made), len(donor))
    places = [int(np.abs(np.fft.rfft(x[:n] * np.hanning(n))).argmax()) for x in (made, donor)]
    assert abs(places[0] - places[1]) * 8000 / n < 120  # within a band
    assert 20 * np.log10(np.std(made) / np.std(donor)) == pytest.approx(0, abs=3)


def test_features_that_are_no_log_mel_are_refused(tones):
    model, clips = tones
    front = model.frontend
    model.frontend = torch.nn.Identity()
    try:
        with pytest.raises(
            UnsupportedError, match="cannot be brought back to a sound; the front end must be a log-mel one"
        ):
            decode(model, clips.maps[0], np.zeros(LENGTH, np.float32))
    finally:
        model.frontend = front

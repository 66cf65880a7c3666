"""Sounds that a clip was compared with, on the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile

from otoscope.attribution.exemplars import Exemplar
from otoscope.report.pages.exemplars import page_exemplar


def test_the_sound_is_in_the_page():
    samples = (0.5 * np.sin(np.arange(800) / 5)).astype(np.float32)
    one = page_exemplar(
        Exemplar("p1", "<b>dog</b>", "dog", -0.5, 0.25, samples, 8000, "a stretch of bark.wav", "share of the vote")
    )
    kind, _, data = one.audio.partition(",")
    assert kind == "data:audio/flac;base64"
    found, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(found, samples, atol=1e-4)
    assert (one.name, one.label, one.contribution, one.similarity) == ("<b>dog</b>", "dog", -0.5, 0.25)
    assert (one.note, one.measure) == ("a stretch of bark.wav", "share of the vote")

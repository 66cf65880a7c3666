from __future__ import annotations

import pytest

from otoscope.prototypes import record_clips
from prototype_worlds import tone_network, write_tones
from tone_worlds import tones_classifier, write_known_tones


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A network of three tones with two prototypes each, and the encoded clips."""
    return tone_network(write_tones(tmp_path_factory.mktemp("tones")))


@pytest.fixture(scope="session")
def known(tmp_path_factory):
    """A classifier of three tones, its data set and what its layer makes of the clips."""
    classifier = tones_classifier()
    data = write_known_tones(tmp_path_factory.mktemp("known"))
    return classifier, data, record_clips(classifier, data)

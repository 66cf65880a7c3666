from __future__ import annotations

import pytest

from prototype_worlds import tone_network, write_tones


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A network of three tones with two prototypes each, and the encoded clips."""
    return tone_network(write_tones(tmp_path_factory.mktemp("tones")))

"""Hz and mel, bins and Hz, frames and seconds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.spectral.scales import bin_frequencies, frame_times, hz_to_mel, mel_to_hz


def test_known_mels():
    """Kaldi: 1127 ln(1 + f/700); 1000 Hz lies at almost 1000 mel."""
    assert float(hz_to_mel(0)) == 0.0
    assert float(hz_to_mel(700)) == pytest.approx(1127 * math.log(2))
    assert float(hz_to_mel(1000)) == pytest.approx(999.99, abs=0.01)


@given(st.floats(0, 2e5))
@settings(max_examples=50, deadline=None)
def test_there_and_back(hz):
    assert float(mel_to_hz(hz_to_mel(hz))) == pytest.approx(hz, rel=1e-9, abs=1e-9)


@given(st.floats(0, 1e5), st.floats(0.01, 1e4))
@settings(max_examples=30, deadline=None)
def test_mel_rises_with_hz(hz, more):
    assert hz_to_mel(hz + more) > hz_to_mel(hz)


def test_bins_and_frames():
    assert bin_frequencies(8, 8000).tolist() == [0, 1000, 2000, 3000, 4000]
    assert frame_times(4, 80, 8000).tolist() == [0, 0.01, 0.02, 0.03]
    assert frame_times(0, 80, 8000).shape == (0,)
    assert isinstance(hz_to_mel([1.0, 2.0]), np.ndarray)

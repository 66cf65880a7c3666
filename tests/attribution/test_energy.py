from __future__ import annotations

import numpy as np

from reference import attribution as slow
from worlds import RATE, linear, spectral


def test_it_is_the_root_of_each_segment_s_energy_and_costs_no_pass(ask, values, noise):
    x = noise(400)
    problem = ask(linear(400), x, ms=10)
    found = values(problem, "energy")[0, 0]
    np.testing.assert_allclose(found, slow.amplitude_by_segment(x, RATE, problem.inspected.grid.times), rtol=1e-5)
    assert problem.inspected.passes == 0


def test_in_features_it_is_the_distance_from_silence(ask, values, noise):
    problem = ask(spectral(), noise(4000), "features")
    analysis = problem.inspected.analysis
    expected = (analysis.features[:, 0] - analysis.silence).abs()
    np.testing.assert_allclose(values(problem, "energy"), expected, rtol=1e-4, atol=1e-5)


def test_the_loud_part_stands_out_and_silence_holds_nothing(ask, values):
    x = np.zeros(4000)
    x[1000:2000] = np.sin(np.arange(1000))
    found = values(ask(spectral(), x, "stft", bands=16, ms=25), "energy")[0]
    band, frame = np.unravel_index(found.argmax(), found.shape)
    assert 2 <= frame <= 4  # 62 to 125 ms of 250
    assert band == 5  # 1 rad a sample are 2546 Hz
    np.testing.assert_array_equal(values(ask(spectral(), np.zeros(4000), "stft"), "energy"), 0)

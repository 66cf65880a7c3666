"""How a generated sound differs from the original, cell by cell."""

import numpy as np

from otoscope.explanation.describe import describe


def test_a_description_cell_by_cell():
    original = np.array([[1.0, 1.0, 1e-6, 1e-6, 0.0, 1.0, 0.5]])
    kept = np.array([[0.5, 0.0, 1.0, 1e-7, 0.0, 1.0, 1.0]])
    change, share = describe(original, kept)
    np.testing.assert_allclose(change, [[-6.0206, -30, 30, 0, 0, 0, 6.0206]], atol=1e-3)
    np.testing.assert_allclose(share, [[0.5, 0, 0, 0, 0, 1, 1]], atol=1e-6)
    for values in describe(np.zeros((2, 3)), np.zeros((2, 3))):
        np.testing.assert_array_equal(values, 0)

"""Room 6: numbers that say how far an explanation can be trusted. Pure functions of probabilities and masks.

Probabilities lie in [0, 1]; AI, AD and AG are in percent as the literature has them; complexity is in nats.
"""

from otoscope.metrics.functional import (
    average_drop,
    average_gain,
    average_increase,
    complexity,
    faithfulness,
    input_fidelity,
    mask_size,
    sparseness,
)
from otoscope.metrics.measure import measure

__all__ = [
    "average_drop",
    "average_gain",
    "average_increase",
    "complexity",
    "faithfulness",
    "input_fidelity",
    "mask_size",
    "measure",
    "sparseness",
]

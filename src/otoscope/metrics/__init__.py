"""Numbers that show how far an explanation can be trusted. Pure functions of probabilities, masks and truths.

Probabilities lie in [0, 1]; AI, AD and AG are in percent as the literature has them; complexity is in nats. Attributions
and masks are ``(freq, frame)``. Registered metrics declare in ``of`` what they are made of: ``"scores"`` and ``"mask"``
(`measure`), ``"truth"`` (`measure_truth`), ``"curve"`` (`curves`) and ``"sanity"``.
"""

from otoscope.core.registry import import_modules
from otoscope.core.renamed import renamed
from otoscope.metrics.accumulate import Accumulator
from otoscope.metrics.controls import controls
from otoscope.metrics.curves import Curves, curve_passes, curves
from otoscope.metrics.functional import (
    average_drop,
    average_drop_speechbrain,
    average_gain,
    average_increase,
    complexity,
    faithfulness,
    input_fidelity,
    mask_size,
    sparseness,
)
from otoscope.metrics.ground_truth import GroundTruth, chance_levels, measure_truth
from otoscope.metrics.measure import measure, metric_of
from otoscope.metrics.oracle import ideal_binary_mask, ideal_ratio_mask
from otoscope.metrics.paired import compare, holm, sign_flip, wilcoxon
from otoscope.metrics.sanity import Cascade, cascade, seed_agreement, seed_spread
from otoscope.metrics.sensitivity import noise_sensitivity, shift_sensitivity
from otoscope.metrics.statistics import agreement, bootstrap

__all__ = [
    "Accumulator", "Cascade", "Curves", "GroundTruth", "agreement", "average_drop", "average_drop_speechbrain",
    "average_gain", "average_increase", "bootstrap", "cascade", "chance_levels", "compare", "complexity",
    "controls", "curve_passes", "curves", "faithfulness", "holm", "ideal_binary_mask", "ideal_ratio_mask",
    "input_fidelity", "mask_size", "measure", "measure_truth", "metric_of", "noise_sensitivity", "seed_agreement",
    "seed_spread", "shift_sensitivity", "sign_flip", "sparseness", "wilcoxon",
]  # fmt: skip

import_modules(__name__, __path__)  # metrics register themselves

__getattr__ = renamed(__name__, {"Known": "otoscope.metrics.GroundTruth"})

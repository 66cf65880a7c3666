"""Post-hoc attribution methods, one file a method.

A method takes a `Problem` (an inspected classifier, targets, a seed, a batch size) and gives one signed number for each
cell, ``(batch, freq, frame)``. Scores are logits unless a name says probability. No method changes the model.
"""

from otoscope.attribution.base import FACTS, Problem, Result, as_attributions
from otoscope.attribution.run import attribute, method_name
from otoscope.core.registry import import_modules

__all__ = ["FACTS", "Problem", "Result", "as_attributions", "attribute", "method_name"]

import_modules(__name__, __path__)  # methods register themselves

"""Attribution -> mask. Values ``(freq, frame)``; a mask lies in [0, 1], 1 keeps a cell whole.

A mask is written as a spec: ``NAME[:VALUE][,smooth_time=SECONDS][,smooth_freq=BANDS][,ties=quantile][,scale=raw]``, for example
``topk:0.3`` or ``positive:threshold:0.5,smooth_time=0.05``.
"""

from otoscope.core.registry import import_modules
from otoscope.masks.functions import smooth
from otoscope.masks.spec import MaskSpec, parse_mask, to_mask

__all__ = ["MaskSpec", "parse_mask", "smooth", "to_mask"]

import_modules(__name__, __path__)  # masks register themselves

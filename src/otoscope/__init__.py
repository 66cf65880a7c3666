"""Hear what an audio classifier listens to: the sound it used, the sound it ignored, and how far to trust that.

Importing this module loads neither torch nor numpy; each name is imported from its room when it is first used. Type
checkers see the same names through the imports under ``TYPE_CHECKING``.

Examples
--------
>>> import numpy as np
>>> import otoscope
>>> noise = 0.1 * np.random.default_rng(0).standard_normal(32000).astype("float32")
>>> explanation = otoscope.explain(noise, sample_rate=32000, method="input_x_gradient")
>>> explanation.kept.duration
1.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otoscope.audio import load_audio
    from otoscope.auralisation import auralise
    from otoscope.autoencoders import Autoencoder, load_autoencoder
    from otoscope.classifiers import Classifier, load_classifier, wrap, wrap_function
    from otoscope.core.errors import OtoscopeError
    from otoscope.core.records import Attribution, Clip, Grid, Mask, Scores, Target
    from otoscope.explanation import Explanation, classify, explain, replay

__version__ = "0.1.0"

_HOMES = {
    "Attribution": "otoscope.core.records",
    "Autoencoder": "otoscope.autoencoders",
    "Classifier": "otoscope.classifiers",
    "Clip": "otoscope.core.records",
    "Explanation": "otoscope.explanation",
    "Grid": "otoscope.core.records",
    "Mask": "otoscope.core.records",
    "OtoscopeError": "otoscope.core.errors",
    "Scores": "otoscope.core.records",
    "Target": "otoscope.core.records",
    "auralise": "otoscope.auralisation",
    "classify": "otoscope.explanation",
    "explain": "otoscope.explanation",
    "load_audio": "otoscope.audio",
    "load_autoencoder": "otoscope.autoencoders",
    "load_classifier": "otoscope.classifiers",
    "replay": "otoscope.explanation",
    "wrap": "otoscope.classifiers",
    "wrap_function": "otoscope.classifiers",
}

__all__ = [
    "Attribution",
    "Autoencoder",
    "Classifier",
    "Clip",
    "Explanation",
    "Grid",
    "Mask",
    "OtoscopeError",
    "Scores",
    "Target",
    "auralise",
    "classify",
    "explain",
    "load_audio",
    "load_autoencoder",
    "load_classifier",
    "replay",
    "wrap",
    "wrap_function",
]


if not TYPE_CHECKING:  # hidden from type checkers, for which a misspelled name would otherwise be an Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'otoscope' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])

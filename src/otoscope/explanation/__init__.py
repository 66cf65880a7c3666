"""The front door, the only code that knows the whole chain from a file to an `Explanation`.

(The room is not called ``explain``: a module of that name would hide the verb `otoscope.explain`.)
"""

from otoscope.explanation.explain import classify, explain
from otoscope.explanation.explanation import Explanation
from otoscope.explanation.replay import replay
from otoscope.explanation.request import DEFAULT_DOMAIN, DEFAULT_MASK, DEFAULT_METHOD, DEFAULT_MODEL

__all__ = [
    "DEFAULT_DOMAIN",
    "DEFAULT_MASK",
    "DEFAULT_METHOD",
    "DEFAULT_MODEL",
    "Explanation",
    "classify",
    "explain",
    "replay",
]

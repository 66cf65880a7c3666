"""Room 3: the only code that hooks, freezes or changes a model; always undone, after success, error or interrupt."""

from otoscope.surgery.attention import Attention, record_attention
from otoscope.surgery.backward import guided
from otoscope.surgery.digest import state_digest
from otoscope.surgery.guard import frozen, preserve_state
from otoscope.surgery.hooks import record_input, record_layer, record_layers
from otoscope.surgery.randomise import randomised, top_down
from otoscope.surgery.relevance import relevance
from otoscope.surgery.rescale import rescale

__all__ = [
    "Attention",
    "frozen",
    "guided",
    "preserve_state",
    "randomised",
    "record_attention",
    "record_input",
    "record_layer",
    "record_layers",
    "relevance",
    "rescale",
    "state_digest",
    "top_down",
]

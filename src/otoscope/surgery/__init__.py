"""Room 3: the only code that hooks, freezes or changes a model; always undone, after success, error or interrupt."""

from otoscope.surgery.digest import state_digest
from otoscope.surgery.guard import frozen, untouched
from otoscope.surgery.hooks import record_layer, record_layers

__all__ = ["frozen", "record_layer", "record_layers", "state_digest", "untouched"]

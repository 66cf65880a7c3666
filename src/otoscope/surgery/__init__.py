"""The only code that hooks, freezes or changes a model; always undone, after success, error or interrupt.

Three techniques, from the mildest to the strongest:

- *Hooks* (`hooks`, `heads`, `guard`) read what layers give. They are torch's own module hooks, removed when the block ends.
- *Function modes* (`attention`, `backward`, `rescale`, `relevance`) see every torch function that runs inside a block, whether
  a module, a front end or bare arithmetic called it, and may give it another backward pass. A mode changes neither model nor
  class, and is gone with the block; what stays is the graph that was recorded in it.
- *Overwriting* (`randomise`) puts other values into parameters and restores the old ones bit for bit.

Read `backward` first: `rescale` (DeepLIFT) and `relevance` (LRP) are tables of rules for the mode that is defined there, and
`slopes` holds the arithmetic that both share. Everything here is a context manager, so that ``with`` undoes it.
"""

from otoscope.core.renamed import renamed
from otoscope.surgery.attention import Attention, record_attention
from otoscope.surgery.backward import deconvolved, guided
from otoscope.surgery.digest import state_digest
from otoscope.surgery.guard import frozen, preserve_state
from otoscope.surgery.heads import HEADS, count_heads, layers_with_heads
from otoscope.surgery.hooks import output_of, record_input, record_layer, record_layers
from otoscope.surgery.randomise import randomised, top_down, without_biases
from otoscope.surgery.relevance import relevance
from otoscope.surgery.rescale import rescale

__all__ = [
    "HEADS", "Attention", "count_heads", "deconvolved", "frozen", "guided", "layers_with_heads", "output_of", "preserve_state",
    "randomised", "record_attention", "record_input", "record_layer", "record_layers", "relevance", "rescale", "state_digest",
    "top_down", "without_biases",
]  # fmt: skip

__getattr__ = renamed(__name__, {"untouched": "otoscope.surgery.preserve_state"})

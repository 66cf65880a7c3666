"""The interpretable domains, where explanations live.

A domain divides a clip into a `Grid` of cells (frequencies in Hz, times in s); `analyse` decomposes a batch of waveforms
``(batch, time)``, and `synthesise` of the result applies masks ``(batch, freq, frame)``. Every domain keeps three promises: a
mask of ones gives the clip back; ``synthesise(m) + synthesise(1 - m)`` is the clip; silence stays silence. `render` does
the same at a clip's own rate, to every channel, in blocks; where a grid alone does not define its cells (components),
the analysis provides the `Rendition` of a clip.
"""

from otoscope.core.registry import import_modules
from otoscope.core.renamed import renamed
from otoscope.domains.base import Analysis, Domain, make_domain
from otoscope.domains.render import Rendition, render_blocks, render_clips

__all__ = ["Analysis", "Domain", "Rendition", "make_domain", "render_blocks", "render_clips"]

import_modules(__name__, __path__)  # domains register themselves

__getattr__ = renamed(
    __name__,
    {
        "bound": "otoscope.domains.Domain.bind",
        "grid_of": "otoscope.domains.Analysis.grid_of",
        "pool_segments": "otoscope.domains.Analysis.pool",
        "rendition_of": "otoscope.domains.Analysis.rendition",
        "settled": "otoscope.domains.Analysis.pool",
    },
)

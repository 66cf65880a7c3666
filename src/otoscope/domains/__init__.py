"""Room 4: the interpretable domains, where explanations live.

A domain lays a `Grid` of cells (frequencies in Hz, times in s) over a clip; `analyse` prepares a batch of waveforms
``(batch, time)``, and its `synthesise` puts a mask ``(batch, freq, frame)`` on it. Every domain keeps three promises: a
mask of ones gives the clip back; ``synthesise(m) + synthesise(1 - m)`` is the clip; silence stays silence. `render` does
the same at a clip's own rate, to every channel, in blocks.
"""

from otoscope.domains.base import Analysis, Domain, make_domain
from otoscope.domains.render import render_blocks, render_clips

__all__ = ["Analysis", "Domain", "make_domain", "render_blocks", "render_clips"]

from otoscope.domains import features, mel, stft, time  # noqa: F401  (they register themselves)

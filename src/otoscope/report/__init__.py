"""Room 9: pages and plots on which a person listens and looks. Computes pictures of sounds, no explanations.

Spectrograms ``(freq, frame)``, Hz and s, levels in dB re full scale.
"""

from otoscope.report.page import Page, render

__all__ = ["Page", "render"]

from otoscope.report import build, like_to_hear, listening, plots, table  # noqa: F401  (they register their views)

"""Pages, tables and plots on which a person listens and looks. Computes pictures of sounds, no explanations.

Spectrograms ``(freq, frame)``, Hz and s, levels in dB re full scale.
"""

from otoscope.report.pages.explanation import render
from otoscope.report.pages.explanation_contents import Page

__all__ = ["Page", "render"]

from otoscope.report import like_to_hear, plots  # noqa: F401  (they register their views)
from otoscope.report.pages import atlas, comparison, listening  # noqa: F401

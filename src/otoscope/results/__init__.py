"""Results of studies: read, select, compare; leaderboards as data.

`read_results` reads what studies wrote, `make_leaderboard` compares methods with intervals and tests. Text and pages are made by
`otoscope.report`. Needs the extra ``study`` (pandas, pyarrow, scipy).
"""

from otoscope.results.examples import ExampleClip, example_clips
from otoscope.results.leaderboard import Leaderboard, make_leaderboard
from otoscope.results.lines import Line
from otoscope.results.read import Results, read_results
from otoscope.results.select import LeaderboardOptions

__all__ = [
    "ExampleClip",
    "Leaderboard",
    "LeaderboardOptions",
    "Line",
    "Results",
    "example_clips",
    "make_leaderboard",
    "read_results",
]

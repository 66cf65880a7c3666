"""Room 9: experiments over many clips, models and conditions: resumable runs, one folder of results each.

A study computes and writes plain data (rows in Parquet, ``results.json``); pages and plots are made of these by the report.
`grid` is the general one; `like_to_hear` asks what networks like to hear; `tables` sums rows up.
"""

from otoscope.study.grid import Replayer, StudyRecipe, load_study, run_study
from otoscope.study.like_to_hear import LikeToHearRecipe, like_to_hear, load_like_to_hear

__all__ = [
    "LikeToHearRecipe",
    "Replayer",
    "StudyRecipe",
    "like_to_hear",
    "load_like_to_hear",
    "load_study",
    "run_study",
]

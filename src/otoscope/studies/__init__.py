"""Experiments over many clips, models and conditions: resumable runs, one folder of results each.

A study computes and writes plain data (rows in Parquet, ``results.json``); pages and plots are made of these by the report.
A grid study (`run_study`) runs clips x classifiers x methods x domains x masks x conditions; `like_to_hear` asks what networks
like to hear.
"""

from otoscope.studies.like_to_hear import LikeToHearRecipe, like_to_hear, load_like_to_hear
from otoscope.studies.recipe import StudyRecipe, load_study
from otoscope.studies.replay import Replayed, Replayer
from otoscope.studies.run import run_study

__all__ = [
    "LikeToHearRecipe",
    "Replayed",
    "Replayer",
    "StudyRecipe",
    "like_to_hear",
    "load_like_to_hear",
    "load_study",
    "run_study",
]

"""Grid studies: clips x classifiers x methods x domains x masks x conditions -> one row of numbers each."""

from otoscope.study.grid.replay import Replayed, Replayer
from otoscope.study.grid.run import run_study
from otoscope.study.grid.settings import StudyRecipe, load_study

__all__ = ["Replayed", "Replayer", "StudyRecipe", "load_study", "run_study"]

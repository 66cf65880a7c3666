"""Room 9: experiments over many clips, models and conditions: resumable runs, one folder of results each.

A study computes and writes plain data (``results.json``, tables of arrays); pages and plots are made of these by the report.
"""

from otoscope.study.like_to_hear import LikeToHearRecipe, like_to_hear, load_like_to_hear

__all__ = ["LikeToHearRecipe", "like_to_hear", "load_like_to_hear"]

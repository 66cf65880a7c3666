"""What networks like to hear: autoencoders tuned to frozen classifiers, and what their reconstructions reveal."""

from otoscope.studies.like_to_hear.run import like_to_hear
from otoscope.studies.like_to_hear.settings import LikeToHearRecipe, load_like_to_hear

__all__ = ["LikeToHearRecipe", "like_to_hear", "load_like_to_hear"]

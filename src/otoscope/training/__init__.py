"""Room 7: training classifiers and autoencoders from a recipe. Waveforms ``(batch, time)``, labels ``(batch, class)``."""

from otoscope.training.autoencoder_settings import AutoencoderRecipe
from otoscope.training.load import load_recipe
from otoscope.training.run import train
from otoscope.training.settings import Recipe

__all__ = ["AutoencoderRecipe", "Recipe", "load_recipe", "train"]

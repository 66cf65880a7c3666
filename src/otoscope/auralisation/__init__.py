"""Hear what the features of a network's layers respond to in a sound, and check each sound by ear of the network.

One feature of one layer is explained as a class is: `otoscope.classifiers.layer_features` makes the features of a layer the classes
of a classifier, so every method, domain, mask, record and report serves. What belongs to features alone is here.
"""

from otoscope.auralisation.atlas import make_atlas
from otoscope.auralisation.auralise import Auralisation, FeatureSound, auralise
from otoscope.auralisation.layer_sounds import LayerSound, layer_sounds, save_layer_sounds
from otoscope.auralisation.magnitudes import feature_magnitudes
from otoscope.auralisation.measures import FeatureMeasures, feature_responses, measure_feature
from otoscope.auralisation.naming import FeatureName, name_features
from otoscope.auralisation.responses import LayerResponses, layer_responses
from otoscope.auralisation.save import save_auralisation
from otoscope.auralisation.similarity import closest_features, drives
from otoscope.auralisation.stimuli import Stimulus, make_stimuli

__all__ = [
    "Auralisation", "FeatureMeasures", "FeatureName", "FeatureSound", "LayerResponses", "LayerSound", "Stimulus",
    "auralise", "closest_features", "drives", "feature_magnitudes", "feature_responses", "layer_responses", "layer_sounds",
    "make_atlas", "make_stimuli", "measure_feature", "name_features", "save_auralisation", "save_layer_sounds",
]  # fmt: skip

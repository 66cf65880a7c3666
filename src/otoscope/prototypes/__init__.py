"""Prototypes: of networks that decide by them (APNet), to be heard, refined, edited by hand, and tuned; and of any other network.

Latent maps are ``(clip, channel, freq, frame)``; each clip is one window of the network. Distances are those of the network, means
over frequencies. Every change gives a new classifier and leaves the one that it was made from.

`fit_prototypes` finds prototypes of any frozen classifier: stretches of real clips, in the space of one of its layers. They take no
part in its decisions; `agreement`, `coverage`, `heard_purity` and `heard_deletion` say how far they explain them.
"""

from otoscope.classifiers.prototype_network import Prototype, list_prototypes, owners, prototype_network
from otoscope.prototypes.candidates import FitSettings
from otoscope.prototypes.clips import EncodedClips, accuracy, encode_clips
from otoscope.prototypes.edit import add, delete, merge, rename
from otoscope.prototypes.fit import fit_prototypes
from otoscope.prototypes.fitted import FittedPrototype, FittedPrototypes, Match, load_fitted, lost_explanations
from otoscope.prototypes.layer_clips import Box, LayerClip, record_clips
from otoscope.prototypes.measures import Measure, agreement, coverage, heard_deletion, heard_purity, vote_accuracy
from otoscope.prototypes.refine import refine_channels, refine_prototypes, similar_groups
from otoscope.prototypes.replay import replay
from otoscope.prototypes.session import Session, Version
from otoscope.prototypes.sounds import PrototypeSound, nearest_clips, prototype_sounds, write_prototype_sounds
from otoscope.prototypes.steps import RefinementStep, refine_in_steps
from otoscope.prototypes.tune import TuneSettings, tune

__all__ = [
    "Box", "EncodedClips", "FitSettings", "FittedPrototype", "FittedPrototypes", "LayerClip", "Match", "Measure", "Prototype",
    "PrototypeSound", "RefinementStep", "Session", "TuneSettings", "Version", "accuracy", "add", "agreement", "coverage",
    "delete", "encode_clips", "fit_prototypes", "heard_deletion", "heard_purity", "list_prototypes", "load_fitted",
    "lost_explanations", "merge", "nearest_clips", "owners", "prototype_network", "prototype_sounds", "record_clips",
    "refine_channels", "refine_in_steps", "refine_prototypes", "rename", "replay", "similar_groups", "tune", "vote_accuracy",
    "write_prototype_sounds",
]  # fmt: skip

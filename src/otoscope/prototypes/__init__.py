"""Prototypes: of networks that decide by them (APNet), to be heard, refined, edited by hand, and tuned.

Latent maps are ``(clip, channel, freq, frame)``; each clip is one window of the network. Distances are those of the network, means
over frequencies. Every change gives a new classifier and leaves the one that it was made from.
"""

from otoscope.prototypes.clips import EncodedClips, accuracy, encode_clips, prototype_network
from otoscope.prototypes.edit import Prototype, add, delete, list_prototypes, merge, owners, rename
from otoscope.prototypes.refine import refine_channels, refine_prototypes, similar_groups
from otoscope.prototypes.replay import replay
from otoscope.prototypes.session import Session, Version
from otoscope.prototypes.sounds import PrototypeSound, nearest_clips, prototype_sounds, write_prototype_sounds
from otoscope.prototypes.steps import RefinementStep, refine_in_steps
from otoscope.prototypes.tune import TuneSettings, tune

__all__ = [
    "EncodedClips", "Prototype", "PrototypeSound", "RefinementStep", "Session", "TuneSettings", "Version", "accuracy", "add",
    "delete", "encode_clips", "list_prototypes", "merge", "nearest_clips", "owners", "prototype_network", "prototype_sounds",
    "refine_channels", "refine_in_steps", "refine_prototypes", "rename", "replay", "similar_groups", "tune",
    "write_prototype_sounds",
]  # fmt: skip

"""Clips with labels, folds, stems and event times. Times in seconds, frequencies in Hz."""

from otoscope.core.registry import import_modules
from otoscope.datasets.cache import decoded, waveform
from otoscope.datasets.contaminate import Contamination, contaminator
from otoscope.datasets.esc50 import load_esc50
from otoscope.datasets.events import LabelError, Labels, read_labels, write_audacity
from otoscope.datasets.folder import read_folder
from otoscope.datasets.fsdd import read_fsdd
from otoscope.datasets.instruments import read_instruments
from otoscope.datasets.load import load_dataset
from otoscope.datasets.medley_solos_db import read_medley_solos_db
from otoscope.datasets.mixtures import read_mixtures
from otoscope.datasets.notes import Notes
from otoscope.datasets.plant import Plant, planter
from otoscope.datasets.records import Dataset, DatasetError, Example
from otoscope.datasets.scenes import Scene, demo_scene, make_scene, stems_of
from otoscope.datasets.speech_commands import read_speech_commands
from otoscope.datasets.truth import Truth, truth_of
from otoscope.datasets.urbansound8k import read_urbansound8k

__all__ = [
    "Contamination", "Dataset", "DatasetError", "Example", "LabelError", "Labels", "Notes", "Plant", "Scene", "Truth",
    "contaminator", "decoded", "demo_scene", "load_dataset", "load_esc50", "make_scene", "planter", "read_folder",
    "read_fsdd", "read_instruments", "read_labels", "read_medley_solos_db", "read_mixtures", "read_speech_commands",
    "read_urbansound8k", "stems_of", "truth_of", "waveform", "write_audacity",
]  # fmt: skip

import_modules(__name__, __path__)  # data sets register themselves

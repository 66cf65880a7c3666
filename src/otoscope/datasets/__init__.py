"""Room 7: clips with labels, folds, stems and event times. Times in seconds, frequencies in Hz."""

from otoscope.datasets.esc50 import load_esc50
from otoscope.datasets.records import Dataset, Example
from otoscope.datasets.scenes import Scene, demo_scene, make_scene

__all__ = ["Dataset", "Example", "Scene", "demo_scene", "load_esc50", "make_scene"]

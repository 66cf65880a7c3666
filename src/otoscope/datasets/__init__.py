"""Room 7: clips with labels, folds, stems and event times. Times in seconds, frequencies in Hz."""

from otoscope.datasets.esc50 import load_esc50
from otoscope.datasets.records import Dataset, Example

__all__ = ["Dataset", "Example", "load_esc50"]

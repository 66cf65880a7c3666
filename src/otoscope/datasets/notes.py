"""Recorded notes as an instrument: any pitch near a recorded one, for as long as it rings."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numpy as np

from otoscope.audio import peak, resample, rms
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.datasets.cache import decoded
from otoscope.datasets.instruments import COLUMNS
from otoscope.datasets.records import DatasetError
from otoscope.datasets.tables import inside, read_rows, whole_number

BEGIN_DB = -40.0  # of the peak: where a note begins
LEAD_S, RELEASE_S = 0.005, 0.02
RATE = 44100  # Hz, at which recordings are read
MIN_S, MAX_S = 0.005, 60.0  # of a played note
NEAR = 3.0  # semitones from a recorded note


class Notes:
    """Single notes of instruments, recorded, to be played at pitches of one's own.

    Parameters
    ----------
    root : path
        Folder of the data set ``instruments``: ``notes.csv`` and the recordings.

    Raises
    ------
    DatasetError
        If there is no such table, or a row names no file in the folder or no MIDI number.

    Examples
    --------
    >>> Notes("instruments").play("piano", 60.0, 1.0, 16000).shape  # doctest: +SKIP
    (16000,)
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        table = self.root / "notes.csv"
        rows = read_rows(table, COLUMNS, "give the folder of the data set 'instruments', which holds notes.csv")
        self._files: dict[str, dict[int, Path]] = {}
        for row in rows:
            own = self._files.setdefault(row["instrument"], {})
            midi = whole_number(table, row, "midi_sounding")
            if not 0 <= midi <= 127:
                raise DatasetError(f"{table}: midi_sounding must be from 0 to 127; got {midi} for {row['filename']}")
            own.setdefault(midi, inside(self.root, row["filename"], table))
        if not self._files:
            raise DatasetError(f"{table} names no notes")
        files = [file for own in self._files.values() for file in own.values() if file.is_file()]
        sizes = ",".join(str(file.stat().st_size) for file in files)
        self._digest = hashlib.sha256(table.read_bytes() + sizes.encode()).hexdigest()

    @property
    def instruments(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(sorted(self._files))

    @property
    def digest(self) -> str:
        """SHA-256 of the table and the sizes of the recordings."""
        return self._digest

    def recorded(self, instrument: str) -> tuple[int, ...]:
        """MIDI numbers of an instrument's recorded notes, from low to high.

        Raises
        ------
        UnknownNameError
        """
        if instrument not in self._files:
            raise UnknownNameError("instrument", instrument, self.instruments)
        return tuple(sorted(self._files[instrument]))

    def nearest(self, instrument: str, midi: float) -> int:
        """MIDI number of the recorded note that is nearest; of two, the lower one."""
        return min(self.recorded(instrument), key=lambda number: (abs(number - midi), number))

    def reaches(self, instrument: str, midi: float) -> bool:
        """Whether some recorded note lies within three semitones."""
        return abs(self.nearest(instrument, midi) - midi) <= NEAR

    def play(self, instrument: str, midi: float, seconds: float, sample_rate: int) -> np.ndarray:
        """A note ``(time,)``: it begins at once, and is as strong as any other (RMS 1 while it sounds).

        The nearest recording is read faster or slower. One that rings shorter than asked ends in silence; a longer one is let go
        over 20 ms.

        Raises
        ------
        UnknownNameError
            For an instrument that is not there.
        ParameterError
            For a pitch more than an octave from all recorded ones, or a length out of range.
        AudioReadError
            If the recording cannot be read.
        DatasetError
            If it is silent.
        """
        low, high = self.recorded(instrument)[0], self.recorded(instrument)[-1]
        number = self.nearest(instrument, midi) if math.isfinite(midi) else low
        if not abs(number - midi) <= 12 or not MIN_S <= seconds <= MAX_S:
            raise ParameterError(
                f"{instrument} has notes from MIDI {low} to {high}, and plays an octave beyond, for {MIN_S:g} to {MAX_S:g} s; got "
                f"{midi:g} for {seconds:g} s"
            )
        file, wanted, speed = self._files[instrument][number], round(seconds * sample_rate), 2 ** ((midi - number) / 12)
        whole = decoded(file, RATE)
        loud = np.abs(whole) > peak(whole) * 10 ** (BEGIN_DB / 20)
        start = max(0, int(loud.argmax()) - round(LEAD_S * RATE))
        part = whole[start : start + round((seconds + 0.1) * speed * RATE)]
        # samples at one rate that are played at another
        sound = resample(part[None], RATE, round(sample_rate / speed))[0, :wanted].astype(np.float64)
        ramp = np.clip(np.arange(len(sound))[::-1] / max(1, round(RELEASE_S * sample_rate)), 0, 1)
        level = rms(sound)
        if not level > 0:
            raise DatasetError(f"{file} is silent; choose another note")
        return np.pad(sound * ramp / level, (0, wanted - len(sound)))

"""What is known of a clip: which sounds it is the sum of, and what sounds when."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from otoscope.audio import close_audio, open_audio
from otoscope.datasets.events import SUFFIXES, LabelFile, label_file
from otoscope.datasets.made import record_of, stem_paths
from otoscope.datasets.records import DatasetError, Example
from otoscope.datasets.scenes.synthesis import Event


@dataclass(frozen=True)
class Truth:
    """What is known of a clip.

    Parameters
    ----------
    stems : mapping of str to Path
        A sound file for each source, the labelled one first; their sum is the clip. Empty where there are none.
    events : tuple of Event
        What sounds when, in seconds from the start of the example, in order of onset.
    origin : str
        ``"scenes"``, ``"mixtures"``, or the name of the label file.
    snr_db : float, dB, or None
        Of the labelled source over the others, where it is recorded.
    notes : tuple of str
        What was changed or left out of a label file.

    Examples
    --------
    >>> from otoscope.datasets.scenes import Event
    >>> Truth(events=(Event("dog", 0.1, 0.4), Event("rain", 0.0, 0.5))).sounding("dog")[0].onset
    0.1
    """

    stems: Mapping[str, Path] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    origin: str = ""
    snr_db: float | None = None
    notes: tuple[str, ...] = ()

    def sounding(self, label: str) -> tuple[Event, ...]:
        """The events of one label."""
        return tuple(e for e in self.events if e.label == label)


def truth_of(example: Example, labels: str | os.PathLike[str] | None = None) -> Truth | None:
    """What is known of a clip: of scenes and mixtures from their record, else from a label file.

    Parameters
    ----------
    example : Example
        The clip.
    labels : path, optional
        A label file, about this clip or about many, or a folder with one for each clip, called as the clip is. Else one
        next to the clip is used, such as ``clip.jams`` or ``clip.txt`` for ``clip.wav``. If given, its events replace
        those of a record.

    Returns
    -------
    Truth or None
        None without a record or a label file that names the clip.

    Raises
    ------
    DatasetError
        For a damaged record, and labels that are not there.
    LabelError
        For a label file that cannot be read.

    Examples
    --------
    >>> data = load_dataset("scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell,snr_db=6", "toy")
    >>> truth_of(data.examples[0]).snr_db
    6.0
    """
    made = _recorded(example)
    if made is not None and labels is None:
        return made
    given = _file(example, labels)
    if given is None:
        return made
    file, notes = given
    if file.clips and not file.names(example.path.name):
        return made
    read = file.of(example.path.name, _duration(example.path) if example.stop_s is None else example.stop_s)
    start = example.start_s  # events count from the start of the example
    events = tuple(
        replace(e, onset=max(0.0, e.onset - start), offset=e.offset - start) for e in read.events if e.offset > start
    )
    return replace(made or Truth(), events=events, origin=file.path.name, notes=(*notes, *read.notes))


def _recorded(example: Example) -> Truth | None:
    """Stems and events of a scene or mixture."""
    found = record_of(example)
    if found is None:
        return None
    form, record = found
    try:
        events = tuple(
            sorted((Event(*event) for event in record["events"]), key=lambda e: (e.onset, e.offset, e.label))
        )
        labels, snr_db = (record["label"], record["background"]), float(record["snr_db"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"the record of {example.path.stem} in {example.path.parent.parent} is damaged; make the data set again"
        ) from error
    stems = stem_paths(example.path.parent.parent, example.path.stem, labels)
    gone = [path for path in stems.values() if not path.is_file()]
    if gone:
        raise DatasetError(f"the stem {gone[0]} is not there; make the data set again with: otoscope data get")
    return Truth(stems, events, form.many, snr_db)


def _file(example: Example, labels: str | os.PathLike[str] | None) -> tuple[LabelFile, tuple[str, ...]] | None:
    """The label file that is given or found, and a note where there is more than one."""
    folder = example.path.parent
    if labels is not None:
        folder = Path(labels)
        if folder.is_file():
            return label_file(folder), ()
        if not folder.is_dir():
            raise DatasetError(f"the labels {folder} are not there; give a label file or a folder of them")
    found = [folder / f"{example.path.stem}{suffix}" for suffix in SUFFIXES]
    there = [file for file in found if file.is_file()]
    if not there:
        return None
    notes = (f"{there[0].name} was taken, not {', '.join(f.name for f in there[1:])}",) if len(there) > 1 else ()
    return label_file(there[0]), notes


def _duration(path: Path) -> float:
    """Length of a sound file in seconds."""
    source = open_audio(path)
    try:
        return source.duration
    finally:
        close_audio(source)

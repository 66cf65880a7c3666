"""Forms of label files: the same events from each, and errors that name file and line."""

from __future__ import annotations

import json

import pytest

from otoscope.datasets import LabelError, read_labels
from otoscope.datasets.events import label_file
from otoscope.datasets.scenes import Event

DOG, RAIN = Event("dog", 0.5, 1.25), Event("light rain", 2.0, 5.0, 100.0, 8000.0)


def jams(*annotations):
    return json.dumps({"annotations": list(annotations), "file_metadata": {"duration": 10}})


def seen(time, duration, value):
    return {"time": time, "duration": duration, "value": value, "confidence": 1}


RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
    "1\tWaveform 1\t1\t0.5\t1.25\t\t\tdog\n"
    "2\tWaveform 1\t1\t2.0\t5.0\t\t\tlight rain\n"
    "2\tSpectrogram 1\t1\t2.0\t5.0\t100.0\t8000.0\tlight rain\n"
)


FORMS = {
    "audacity.txt": ("audacity", "0.500000\t1.250000\tdog\n2.0\t5.0\tlight rain\n\\\t100.0\t8000.0\n"),
    "spaces.txt": ("audacity", "2 5 light rain\n\\ 100 8000\n0.5 1.25 dog\n"),
    "clip.selections.txt": ("raven", RAVEN),
    "table.csv": ("table", "onset,offset,label,low_hz,high_hz\n0.5,1.25,dog,,\n2,5,light rain,100,8e3\n"),
    "other.csv": (
        "table",
        'Label;Start (s);Duration [s];Min Freq;Max Freq;who\n"light rain";2;3;100;8000;me\ndog;0.5;0.75\n',
    ),
    "dcase.tsv": ("table", "onset\toffset\tevent_label\tfmin\tfmax\n0.5\t1.25\tdog\n\n2\t5\tlight rain\t100\t8000\n"),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_all_forms_say_the_same(tmp_path, name, ends, encoding):
    form, text = FORMS[name]
    (tmp_path / name).write_bytes(text.replace("\n", ends).encode(encoding))
    assert read_labels(tmp_path / name).events == (DOG, RAIN)
    assert read_labels(tmp_path / name).notes == ()
    assert label_file(tmp_path / name).form == form


def test_a_table_without_a_head_is_of_dcase_where_it_can_be_no_other(tmp_path):
    (tmp_path / "a.txt").write_text("a.wav\t0.5\t1.25\tdog\nb.wav\t1\t2\tdog\n")
    assert read_labels(tmp_path / "a.txt", "a.wav").events == (DOG,)


def test_a_selection_table_of_several_sound_files(tmp_path):
    head = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\tBegin File\tFile Offset (s)\n"
    (tmp_path / "t.txt").write_text(head + "1\t0.5\t1.25\tdog\ta.wav\t0.5\n2\t60.5\t61.25\tdog\tb.wav\t0.5\n")
    assert read_labels(tmp_path / "t.txt", "b.wav").events == (DOG,)
    (tmp_path / "u.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\tBegin File\n1\t0\t1\tdog\ta.wav\n2\t0\t1\tdog\tb.wav\n"
    )
    with pytest.raises(LabelError, match="about 2 sound files; export it with the column 'File Offset"):
        read_labels(tmp_path / "u.txt", "a.wav")


def test_two_selections_at_one_time_are_two(tmp_path):
    (tmp_path / "t.txt").write_text(RAVEN + "3\tSpectrogram 1\t1\t2.0\t5.0\t50.0\t90.0\thum\n")
    assert [e.label for e in read_labels(tmp_path / "t.txt").events] == ["dog", "hum", "light rain"]


@pytest.mark.parametrize(
    "annotation",
    [
        {"namespace": "segment_open", "data": [seen(0.5, 0.75, "dog")]},
        {"namespace": "tag_open", "data": [seen(0.5, 0.75, {"label": "dog"})]},
        {"namespace": "scaper", "data": [seen(0.5, 0.75, {"label": "dog", "role": "foreground", "snr": 6})]},
        {"namespace": "tag_open", "data": {"time": [0.5], "duration": [0.75], "value": ["dog"], "confidence": [1]}},
    ],
)
def test_jams(tmp_path, annotation):
    (tmp_path / "clip.jams").write_text(jams(annotation, {"namespace": "beat", "data": [seen(0, 0, 1)]}))
    read = read_labels(tmp_path / "clip.jams")
    assert read.events == (DOG,)
    assert read.notes == ("annotations of the namespace beat were left out",)


def test_a_head_alone_and_annotations_without_data(tmp_path):
    (tmp_path / "clip.csv").write_text("onset,offset,label\n")
    assert read_labels(tmp_path / "clip.csv").events == ()
    (tmp_path / "clip.jams").write_text(jams({"namespace": "tag_open", "data": []}))
    assert read_labels(tmp_path / "clip.jams").events == ()


HEAD = "onset,offset,label,low_hz,high_hz\n"


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.txt", "0\t1\tdog\n-0.5\t1\tdog\n", r"a.txt, line 2: the onset must be seconds of at least 0, .*; got '-0.5'"),
        ("a.txt", "0\tnan\tdog\n", "line 1: the offset must be seconds"),
        ("a.txt", "0\tinf\tdog\n", "line 1: the offset must be seconds"),
        ("a.txt", "\n\n0\t1\tdog\n\n2\t1\tdog\n", "line 5: the event ends at 1 s, before it begins at 2 s"),
        ("a.txt", "0\t1\tdog\n1,5\t2\tdog\n", "line 2: the onset must be seconds of at least 0, such as 1.5; got '1,5'"),
        ("a.txt", "0\t1\tdog\nwoof\n", "line 2: onset, offset and label are expected, with tabs between; got 'woof'"),
        ("a.txt", "\\\t1\t2\n", r"it begins with '\\\\"),
        ("a.txt", "0\t1\tdog\n\\\t500\t100\n", "line 2: the band ends at 100 Hz, below its start at 500 Hz"),
        ("a.txt", "0\t1\tdog\n\\\tx\t100\n", "line 2: the low must be Hz"),
        ("a.txt", "dear reader,\n", "begins with 'dear reader,'; a label file of Audacity, .* is expected"),
        ("a.csv", "0.5,1.25,dog\n", "a table with a head"),
        ("a.csv", "onset,label\n0,dog\n", r"no column 'offset' \(or offset, event_offset"),
        ("a.csv", "onset,offset\n0,1\n", "no column 'label'"),
        ("a.csv", HEAD + "0,1,dog\n0,1,dog,1,2,3\n", "line 3: 6 cells in a table of 5 columns"),
        ("a.csv", HEAD + "0,1,\n", "line 2: the row has no label"),
        ("a.csv", HEAD + "nan,1,dog\n", "line 2: the onset"),
        ("a.csv", "\n" + HEAD + "\n\n0,1,dog\nx,1,dog\n", "line 6: the onset"),
        ("a.csv", HEAD + '0,1,"dog\n', "quotation mark"),
        ("a.csv", "onset,duration,label\n0,-1,dog\n", "line 2: the duration"),
        ("a.csv", "file,onset,offset,label\n,0,1,dog\n", "line 2: the row names no clip"),
        ("a.txt", RAVEN.replace("Annotation", "Delta"), "no column that names the sounds"),
        ("a.txt", RAVEN + "3\tW\t1\tx\t5.0\t\t\tdog\n", "line 5: the begin time"),
        ("a.jams", "{", "not valid JSON"),
        ("a.jams", "[" * 100_000, "not valid JSON"),
        ("a.json", "{}", "a list 'annotations' at its top"),
        ("a.jams", jams({"data": []}), "annotation 1: it has no namespace"),
        ("a.jams", jams({"namespace": "beat", "data": []}), "segment_open, tag_.* expected; it has beat"),
        ("a.jams", jams({"namespace": "tag_open", "data": 3}), "annotation 1: data must be a list"),
        ("a.jams", jams({"namespace": "tag_open", "data": {"time": [1], "duration": [], "value": []}}), "of one length"),
        ("a.jams", jams({"namespace": "tag_open", "data": [seen(float("nan"), 1, "d")]}), "observation 1: the time"),
        ("a.jams", jams({"namespace": "tag_open", "data": [seen(True, 1, "d")]}), "observation 1: the time"),
        ("a.jams", jams({"namespace": "tag_open", "data": [seen(0, 1, {"role": "x"})]}), "hold one as 'label'"),
        ("a.jams", jams({"namespace": "tag_open", "data": ["dog"]}), "an observation has time"),
    ],
)  # fmt: skip
def test_errors_name_file_and_place(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelError, match=match) as caught:
        read_labels(tmp_path / name)
    assert name in str(caught.value)

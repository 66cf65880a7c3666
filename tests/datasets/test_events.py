"""Label files: the same events from every form, notes on what was changed, errors that name file and line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.datasets import LabelError, read_labels, write_audacity
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


DESED = (
    "filename\tonset\toffset\tevent_label\n"
    "Y1_30.000_40.000.wav\t0.5\t1.25\tdog\nb.wav\t\t\t\nsub/Y1_30.000_40.000.wav\t2\t5\tSpeech\nc.wav\t0\t1\tdog\n"
)


def test_a_file_about_many_clips(tmp_path):
    (tmp_path / "meta.tsv").write_text(DESED)
    file = label_file(tmp_path / "meta.tsv")
    assert file.clips == ("Y1_30.000_40.000.wav", "b.wav", "sub/Y1_30.000_40.000.wav", "c.wav")
    assert file.of("Y1_30.000_40.000.wav").events == (DOG, Event("Speech", 2.0, 5.0))
    assert file.of("anywhere/Y1_30.000_40.000").events == (DOG, Event("Speech", 2.0, 5.0))
    assert file.of("b.wav").events == ()  # named, and nothing sounds
    assert file.names("b")
    assert not file.names("Y1_30.000_50.000.wav")
    assert not file.names("b.flac")
    with pytest.raises(LabelError, match=r"about 4 clips .*; name one of them; got 'd.wav'"):
        file.of("d.wav")
    with pytest.raises(LabelError, match="got ''"):
        file.of()


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


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_says_that_nothing_sounds(tmp_path, text):
    (tmp_path / "clip.txt").write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / "clip.txt").events == ()


def test_a_head_alone_and_annotations_without_data(tmp_path):
    (tmp_path / "clip.csv").write_text("onset,offset,label\n")
    assert read_labels(tmp_path / "clip.csv").events == ()
    (tmp_path / "clip.jams").write_text(jams({"namespace": "tag_open", "data": []}))
    assert read_labels(tmp_path / "clip.jams").events == ()


def test_latin_1_is_read_with_a_note(tmp_path):
    (tmp_path / "clip.txt").write_bytes("0\t1\tG\xe4nse\n".encode("latin-1"))
    read = read_labels(tmp_path / "clip.txt")
    assert read.events == (Event("G\xe4nse", 0.0, 1.0),)
    assert read.notes == ("clip.txt is not UTF-8 and was read as Latin-1",)


def test_events_end_with_the_clip(tmp_path):
    (tmp_path / "clip.txt").write_text("0\t1\ta\n1\t9\tb\n5\t6\tc\n2\t2\tpoint\n3\t4.0005\td\n")
    read = read_labels(tmp_path / "clip.txt", duration_s=4.0)
    assert read.events == (Event("a", 0.0, 1.0), Event("b", 1.0, 4.0), Event("d", 3.0, 4.0))
    assert read.notes == (
        "line 2: 'b' was cut at the clip's end, 4 s",
        "line 3: 'c' begins at 5 s, after the clip's end: left out",
        "1 labels without length were left out",
    )
    assert [e.label for e in read_labels(tmp_path / "clip.txt").events] == ["a", "b", "d", "c"]


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
        ("a.txt", "0\t1\tdog\n\\\t500\t100\n", "line 2: the band ends at 100 Hz, below its begin at 500 Hz"),
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
        ("a.jams", "{", "no valid JSON"),
        ("a.jams", "[" * 100_000, "no valid JSON"),
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


def test_what_is_no_label_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(LabelError, match="NUL bytes"):
        read_labels(tmp_path / "a.wav")
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "no.txt")
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path)


def test_a_file_that_changes_is_read_again(tmp_path):
    (tmp_path / "a.txt").write_text("0\t1\tdog\n")
    read_labels(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("0\t1\tcat and dog\n")
    assert read_labels(tmp_path / "a.txt").events[0].label == "cat and dog"


HZ = st.none() | st.integers(0, 20_000).map(float)
LABEL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"))).map(str.strip)
EVENTS = st.builds(
    lambda label, onset, length, low, high: Event(
        label, onset / 1000, (onset + length) / 1000, low, None if high is None else high + (low or 0.0)
    ),
    LABEL, st.integers(0, 10**6), st.integers(1, 10**6), HZ, HZ,
)  # fmt: skip


@given(events=st.lists(EVENTS, max_size=5))
@settings(max_examples=50)
def test_written_labels_come_back(tmp_path_factory, events):
    file = write_audacity(tmp_path_factory.mktemp("labels") / "clip.txt", events)
    assert read_labels(file).events == tuple(sorted(events, key=lambda e: (e.onset, e.offset, e.label)))


@given(
    text=st.text(st.sampled_from('0123456789.,;\t\n\\" abonsetflilnaN{}[]:-'), max_size=60),
    name=st.sampled_from(["a.txt", "a.csv", "a.jams"]),
)
def test_any_text_gives_events_or_our_error(tmp_path_factory, text, name):
    file = tmp_path_factory.mktemp("labels") / name
    file.write_text(text)
    try:
        read = read_labels(file, duration_s=3.0)
    except OtoscopeError:
        return
    assert all(0.0 <= e.onset < e.offset <= 3.0 for e in read.events)


@pytest.mark.parametrize("event", [Event("a\tb", 0, 1), Event(" a", 0, 1), Event("a", 0, float("inf"))])
def test_what_cannot_be_written(tmp_path, event):
    with pytest.raises(ParameterError):
        write_audacity(tmp_path / "a.txt", [event])
    assert not (tmp_path / "a.txt").exists()

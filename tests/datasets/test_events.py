"""Label files: the same events from every form, notes on what was changed, errors that name file and line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.datasets import LabelError, read_labels, write_audacity
from otoscope.datasets.events import label_file
from otoscope.datasets.scenes import Event

DOG, RAIN = Event("dog", 0.5, 1.25), Event("light rain", 2.0, 5.0, 100.0, 8000.0)


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


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_says_that_nothing_sounds(tmp_path, text):
    (tmp_path / "clip.txt").write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / "clip.txt").events == ()


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

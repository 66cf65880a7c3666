"""Errors are ours, children of the built-in ones, and say what came and what to do."""

import pickle

import pytest
from torch.utils.data import DataLoader

from otoscope.audio import load_audio
from otoscope.core import errors
from otoscope.core.errors import AudioReadError, MissingExtraError, OtoscopeError, UnknownNameError, WriteError
from otoscope.datasets import DatasetError

BUILT_IN = {
    "ParameterError": ValueError,
    "ShapeError": ValueError,
    "AudioReadError": OSError,
    "WriteError": OSError,
    "UnknownNameError": LookupError,
    "UnsupportedError": NotImplementedError,
    "WeightsError": ValueError,
    "DownloadError": ConnectionError,
    "MissingExtraError": ImportError,
    "DeviceMemoryError": MemoryError,
    "NonFiniteError": ArithmeticError,
}


def test_every_error_is_ours_and_a_built_in_one():
    found = {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, Exception)}
    assert found.pop("OtoscopeError") is OtoscopeError
    assert {n: next(b for b in e.__bases__ if b is not OtoscopeError) for n, e in found.items()} == BUILT_IN
    assert all(issubclass(e, OtoscopeError) for e in found.values())


@pytest.mark.parametrize(
    ("asked", "known", "words"),
    [
        ("occlusoin", ["rise", "occlusion"], "unknown method 'occlusoin'; did you mean 'occlusion'?"),
        ("RISE", ["rise", "occlusion"], "unknown method 'RISE'; did you mean 'rise'?"),
        ("dog", ["Dog", "Cat"], "unknown method 'dog'; did you mean 'Dog'?"),
        ("zzz", ["rise", "occlusion"], "unknown method 'zzz'; there are rise, occlusion"),
        ("zzz", [f"a{i}" for i in range(13)], "a11, ..."),
        ("zzz", [f"a{i}" for i in range(12)], "a11"),
        ("x", [], "unknown method 'x'; none is registered"),
    ],
)
def test_unknown_names_offer_the_nearest(asked, known, words):
    error = UnknownNameError("method", asked, known)
    assert words in str(error)
    assert ("..." in str(error)) == (len(known) > 12)


def test_at_most_three_names_are_offered_nearest_first():
    error = UnknownNameError("mask", "topkk", ["topk1", "topk", "topk2", "topk3", "minmax"])
    assert error.nearest[0] == "topk"
    assert len(error.nearest) == 3
    assert "minmax" not in error.nearest


def test_reading_and_writing_errors_name_the_file():
    read, write = AudioReadError("a.wav", "it is empty"), WriteError("b.wav", "the disk is full")
    assert str(read) == "cannot read a.wav: it is empty"
    assert (read.source, read.reason) == ("a.wav", "it is empty")
    assert str(write) == "cannot write b.wav: the disk is full"
    assert (write.target, write.reason) == ("b.wav", "the disk is full")


def test_missing_extra_names_package_extra_and_command():
    error = MissingExtraError("matplotlib", "plot", "Explanation.plot")
    assert (
        str(error) == "Explanation.plot needs the package 'matplotlib'; install it with: pip install matplotlib "
        "(or, in a checkout of Otoscope: pip install '.[plot]')"
    )
    assert (error.package, error.extra) == ("matplotlib", "plot")


def test_messages_are_one_line():
    for error in (UnknownNameError("m", "a\nb", ["a"]), AudioReadError("a", "b"), MissingExtraError("a", "b", "c")):
        assert "\n" not in str(error)


MADE = [
    AudioReadError("a.wav", "it is empty"),
    WriteError("b.wav", "the disk is full"),
    UnknownNameError("method", "RISE", ["rise", "occlusion"]),
    MissingExtraError("matplotlib", "plot", "Explanation.plot"),
    DatasetError("no clips"),
    OtoscopeError("something"),
    *(getattr(errors, name)("mask has 513 bins") for name in BUILT_IN),
]


@pytest.mark.parametrize("error", MADE, ids=lambda e: type(e).__name__)
def test_every_error_survives_pickling(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("name", [*BUILT_IN, "OtoscopeError"])
def test_every_error_can_be_made_from_its_message(name):
    error = getattr(errors, name)("cannot read a.wav: it is empty")
    assert str(error) == "cannot read a.wav: it is empty"
    assert getattr(error, "reason", str(error)) == str(error)


class Damaged:
    """A data set of one file that is no sound."""

    def __init__(self, path):
        self.path = path

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return load_audio(self.path).samples


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_worker_process_sends_the_error_home(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    loader = DataLoader(Damaged(tmp_path / "a.wav"), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(AudioReadError, match=r"cannot read .*a\.wav"):
        next(iter(loader))


def test_an_empty_name_can_be_seen():
    assert str(UnknownNameError("folds", "some", ["", "all"])) == "unknown folds 'some'; there are '', all"

"""Settings read from signatures and docstrings."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest

from otoscope.core.errors import OtoscopeError
from otoscope.core.registry import Argument, Help, Parameter, Range
from otoscope.core.settings import described, first_sentence, read_settings

Shared = Annotated[float | None, Range(0.0, 2.0), Help("shared words")]


class Sounds:
    def __str__(self):
        return "sounds"


def worker(
    data: object,
    count: Annotated[int, Range(1, 10)] = 3,
    way: Literal["up", "down"] = "up",
    flag: bool = True,
    shared: Shared = None,
    source: str | Sounds = "silence",
    plain=2.5,
    bands: Annotated[bool, Argument()] = True,
):
    """Work.

    Parameters
    ----------
    data : object
    count : int in [1, 10]
        How many, e.g. of
        cells. All where there are fewer.
    way, flag : str
        SI-SDR first.
    shared : float
        More of it.

    Returns
    -------
    count : nothing
        Of the kind.
    """


def test_everything_is_written_once():
    assert read_settings(worker) == (
        Parameter("count", int, 3, "how many, e.g. of cells", 1, 10),
        Parameter("way", str, "up", "SI-SDR first", choices=("up", "down")),
        Parameter("flag", bool, True, "SI-SDR first"),
        Parameter("shared", float, None, "shared words", 0.0, 2.0),
        Parameter("source", str, "silence", "", also=(Sounds,)),
        Parameter("plain", float, 2.5, ""),
    )


def test_of_a_class_the_constructor_counts():
    class Domain:
        """Cells.

        Parameters
        ----------
        ms : float
            Length.
        """

        def __init__(self, ms: float = 5.0):
            self.ms = ms

    assert read_settings(Domain) == (Parameter("ms", float, 5.0, "length"),)


def test_an_object_passes_where_the_signature_names_its_class():
    source = read_settings(worker)[4]
    sounds = Sounds()
    assert source.check(sounds, "x") is sounds
    assert source.check("folder", "x") == "folder"


def test_what_cannot_be_a_setting_is_named():
    def listed(x: list[int] = ()):  # type: ignore[assignment]
        pass

    def unknown(x: Nowhere = 1):  # noqa: F821
        pass

    with pytest.raises(OtoscopeError, match=r"setting 'x' of .*listed has the type .*; annotate it as int"):
        read_settings(listed)
    with pytest.raises(
        OtoscopeError, match=r"setting 'x' of .*unknown cannot be evaluated \(name 'Nowhere' is not defined\)"
    ):
        read_settings(unknown)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("How many.", "how many"), ("A share. Another.", "a share"), ("RMS level. More", "RMS level"), ("", ""),
        ("To 0.5. 0 is none.", "to 0.5"), ("Name, or `x`. `y` is all.", "name, or `x`"),
    ],
)  # fmt: skip
def test_the_help_is_the_first_sentence(text, wanted):
    assert first_sentence(text) == wanted


def test_words_end_where_the_section_ends():
    assert described(worker)["count"] == "How many, e.g. of cells. All where there are fewer."

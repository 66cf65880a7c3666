"""How pages write numbers."""

import math

import pytest

from otoscope.report.formatting import decibels, finite, fixed, kilohertz, number, percent, seconds

UNKNOWN = [None, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", UNKNOWN)
def test_what_is_not_finite_is_said_so(value):
    assert (finite(value), number(value), percent(value)) == (None, "not defined", "\u2013")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1, "100"), (0.0004, "<0.1"), (0.9999, ">99.9"), (0.05, "5.0"), (0.5, "50"), (0.995, "99.5")],
)
def test_a_probability_is_never_rounded_to_certainty(value, shown):
    assert percent(value) == f"{shown}\u202f%"


def test_numbers_have_true_minus_signs_and_no_minus_zero():
    assert (number(-0.12345), number(12345.6)) == ("\u22120.123", "12,346")
    assert (fixed(-1.25, 1), fixed(-0.001, 2), fixed(2, 3)) == ("\u22121.2", "0.00", "2.000")
    assert (decibels(-3.21), decibels(12.34), decibels(None)) == ("\u22123.2 dB", "12.3 dB", "not defined")


def test_times_and_rates():
    assert [seconds(v) for v in (0, 2.5, 59.999, 3723.45)] == ["0:00.00", "0:02.50", "1:00.00", "1:02:03.45"]
    assert (kilohertz(44100), kilohertz(32000)) == ("44.1 kHz", "32 kHz")

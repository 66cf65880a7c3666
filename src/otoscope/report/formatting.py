"""How pages write numbers: probabilities in percent, seconds, decibels, hertz; plain text, which the templates escape."""

from __future__ import annotations

import math

NOT_DEFINED = "not defined"


def finite(value: float | None) -> float | None:
    """The value as a float, or None if it is missing or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def percent(value: float | None) -> str:
    """A probability in percent, never rounded to 0 or 100; a dash for None and values that are not finite."""
    value = finite(value)
    if value is None:
        return "\u2013"
    share = 100 * value
    if 0 < share < 0.1:
        return "<0.1\u202f%"
    if 99.9 < share < 100:
        return ">99.9\u202f%"
    digits = 1 if 0 < share < 9.95 or 99 < share < 100 else 0
    return f"{share:.{digits}f}\u202f%"


def fixed(value: float, places: int) -> str:
    """A number with ``places`` decimals, a true minus sign and no minus zero."""
    shown = f"{value:.{places}f}"
    return shown.replace("-", "\u2212") if float(shown) else shown.lstrip("-")


def number(value: float | None) -> str:
    """A number with three significant digits, or "not defined"."""
    value = finite(value)
    if value is None:
        return NOT_DEFINED
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return shown.replace("-", "\u2212")


def seconds(value: float) -> str:
    """Seconds as minutes and seconds, e.g. ``1:02.50``."""
    minutes, rest = divmod(round(value * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def decibels(value: float | None) -> str:
    """A level or ratio in dB with one decimal, or "not defined"."""
    return NOT_DEFINED if value is None else f"{value:.1f} dB".replace("-", "\u2212")


def kilohertz(value: float) -> str:
    """A rate in kHz."""
    return f"{value / 1000:g} kHz"

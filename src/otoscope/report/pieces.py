"""Pieces of HTML for the page of a table, until it is a template too."""

from __future__ import annotations

from typing import Any

from markupsafe import escape

from otoscope.report import formatting
from otoscope.report.templating import environment, showable


def text(value: object) -> str:
    """Text for HTML, escaped."""
    return str(escape(showable(str(value))))


def percent(value: float | None) -> str:
    """A probability in percent, escaped."""
    return text(formatting.percent(value))


def tree(value: Any) -> str:
    """The record: scalars in one line, nested tables folded."""
    macros: Any = environment().get_template("macros.html.jinja").module
    return str(macros.tree(value))

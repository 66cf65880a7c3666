"""Views of the studio: each says which models it serves, and brings its own addresses, part of the page and script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otoscope.core import registry
from otoscope.studio.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import APIRouter


@dataclass(frozen=True)
class View:
    """One view; to add one, register a function that returns it as ``studio``.

    Parameters
    ----------
    name : str
        In addresses.
    title : str
        On the page.
    serves : callable
        Whether it can show a workspace.
    routes : callable
        Its addresses for a workspace, to be put under ``/api/NAME``.
    template : str
        Its part of the page, a template of `otoscope.report`.
    scripts, styles : tuple of str
        Its assets.

    Examples
    --------
    >>> prototypes_view().serves(Workspace(model, {"training": data}, "session"))  # doctest: +SKIP
    True
    """

    name: str
    title: str
    serves: Callable[[Workspace], bool]
    routes: Callable[[Workspace], APIRouter]
    template: str
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


def views_for(workspace: Workspace) -> list[View]:
    """The views that can show a workspace, in the order of their names' registration."""
    found = [entry.target() for entry in registry.entries("studio")]
    return [view for view in found if view.serves(workspace)]

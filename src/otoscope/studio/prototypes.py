"""The view of prototypes: its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otoscope.classifiers.apnet import ApNet
from otoscope.core.registry import register
from otoscope.core.runtime import require
from otoscope.studio.editor import Editor
from otoscope.studio.views import View
from otoscope.studio.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import APIRouter


def routes(workspace: Workspace) -> APIRouter:
    """Addresses under ``/api/prototypes``."""
    fastapi = require("fastapi", "studio", "otoscope studio")
    editor = workspace.opened("prototypes", Editor)
    router: APIRouter = fastapi.APIRouter()
    _to_look(fastapi, router, editor)
    _to_change(fastapi, router, editor)
    return router


def _to_look(fastapi: Any, router: APIRouter, editor: Editor) -> None:
    """Addresses that change nothing."""

    @router.get("/state")
    def state() -> dict[str, Any]:
        return editor.state()

    @router.get("/clips")
    def clips() -> dict[str, Any]:
        return editor.clips()

    @router.get("/one/{id}")
    def one(id: str) -> dict[str, Any]:
        return editor.detail(id)

    @router.get("/sounds/{id}")
    def sounds(id: str) -> dict[str, Any]:
        return editor.sounds_of(id)

    @router.get("/clip/{number}")
    def clip(number: int) -> dict[str, Any]:
        return editor.sounds_of_clip(number)

    @router.get("/audio/{key}")
    def audio(key: str) -> Any:
        return fastapi.Response(editor.audio(key), media_type="audio/wav")

    @router.get("/compare/{number}")
    def compare(number: int) -> dict[str, Any]:
        return editor.compare(number)


def _to_change(fastapi: Any, router: APIRouter, editor: Editor) -> None:
    """Addresses that edit, tune, test and save."""
    body = fastapi.Body

    @router.post("/edit")
    def edit(number: int = body(), edit: dict[str, Any] = body()) -> dict[str, Any]:  # noqa: B008
        return editor.change(number, edit)

    @router.post("/tune")
    def tune(number: int = body(), settings: dict[str, Any] = body()) -> dict[str, Any]:  # noqa: B008
        return editor.tune(number, settings)

    @router.post("/test")
    def test(number: int = body(embed=True)) -> dict[str, Any]:
        return editor.test(number)

    @router.post("/save")
    def save() -> dict[str, Any]:
        return editor.save()


@register("studio", "prototypes", summary="Prototypes of a network that decides by them: hear, edit, tune.")
def prototypes_view() -> View:
    """The view of prototypes.

    Examples
    --------
    >>> prototypes_view().title
    'Prototypes'
    """
    return View(
        "prototypes",
        "Prototypes",
        lambda workspace: isinstance(workspace.model.network, ApNet),
        routes,
        "studio_prototypes.html.jinja",
        ("studio-prototypes.js",),
    )

"""The view of features: its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otoscope.core.registry import register
from otoscope.core.runtime import require
from otoscope.studio.features import FeatureDesk
from otoscope.studio.views import View
from otoscope.studio.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import APIRouter


def routes(workspace: Workspace) -> APIRouter:
    """Addresses under ``/api/atlas``."""
    fastapi = require("fastapi", "studio", "otoscope studio")
    desk = workspace.opened("atlas", FeatureDesk)
    router: APIRouter = fastapi.APIRouter()
    body = fastapi.Body

    @router.get("/state")
    def state() -> dict[str, Any]:
        return desk.state()

    @router.post("/make")
    def make(layers: list[str] = body(), clips: int = body()) -> dict[str, Any]:  # noqa: B008
        return desk.make(layers, clips)

    @router.get("/sounds")
    def sounds(layer: str, number: int, clip: int, way: str) -> dict[str, Any]:
        return desk.sounds_of(layer, number, clip, way)

    @router.get("/audio/{key}")
    def audio(key: str) -> Any:
        return fastapi.Response(desk.audio(key), media_type="audio/wav")

    return router


@register("studio", "atlas", summary="Features of layers: an atlas of names, and each feature heard in any clip.")
def atlas_view() -> View:
    """The view of features.

    Examples
    --------
    >>> atlas_view().title
    'Features'
    """
    return View(
        "atlas",
        "Features",
        lambda workspace: bool(workspace.model.layers()),
        routes,
        "studio_atlas.html.jinja",
        ("features.js", "studio-atlas.js"),
        ("atlas.css",),
    )

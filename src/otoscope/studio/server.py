"""The server: one page, the addresses of its views, errors as text; on this machine alone."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.runtime import require
from otoscope.report.templating import render_page
from otoscope.studio.guard import Guard
from otoscope.studio.views import views_for
from otoscope.studio.workspace import BusyError, Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = logging.getLogger(__name__)
SCRIPTS = ("theme.js", "player.js", "canvas.js", "stage.js", "versions.js", "studio.js")
STYLES = ("page.css", "listening.css", "studio.css")


def create_app(workspace: Workspace, token: str, port: int) -> Any:
    """The web application of a workspace.

    Parameters
    ----------
    workspace : Workspace
        What is open.
    token : str
        Asked for with every request.
    port : int
        Where it will listen: requests for other hosts and ports are refused.

    Returns
    -------
    ASGI application

    Raises
    ------
    MissingExtraError
        Without the extra ``studio``.

    Examples
    --------
    >>> work = Workspace(model, {"training": data}, "studio")
    >>> type(create_app(work, "secret", 8765)).__name__
    'Guard'
    >>> work.close()
    """
    fastapi = require("fastapi", "studio", "otoscope studio")
    app: FastAPI = fastapi.FastAPI(title="Otoscope", docs_url=None, redoc_url=None, openapi_url=None)
    views = views_for(workspace)

    @app.get("/", response_class=fastapi.responses.HTMLResponse)
    def page() -> str:
        return studio_page(workspace, views)

    @app.get("/api/job")
    def job() -> dict[str, Any]:
        return {"job": workspace.job.row() if workspace.job is not None else None}

    @app.post("/api/job/cancel")
    def cancel() -> dict[str, Any]:
        if workspace.job is not None:
            workspace.job.cancel()
        return job()

    for view in views:
        app.include_router(view.routes(workspace), prefix=f"/api/{view.name}")
    _errors(app)
    return Guard(app, token, tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost")))


def studio_page(workspace: Workspace, views: list[Any]) -> str:
    """The page, with a part for each view."""
    scripts, styles = list(SCRIPTS), list(STYLES)
    for view in views:
        scripts += [s for s in view.scripts if s not in scripts]
        styles += [s for s in view.styles if s not in styles]
    model = workspace.model
    data = {
        "model": model.name, "sample_rate": model.sample_rate, "labels": list(model.labels), "counts": workspace.counts(),
        "views": [{"name": v.name, "title": v.title} for v in views],
    }  # fmt: skip
    return render_page(
        "studio.html.jinja", styles=styles, scripts=[*scripts, "studio-start.js"], data=data, connects=True,
        title=f"{model.name} · Otoscope studio",
        model=model, counts=workspace.counts(), views=views,
    )  # fmt: skip


def _errors(app: FastAPI) -> None:
    """Our errors as 400 (409 where one may try again), strange requests as 422, anything else as 500; all as ``{"error": ...}``."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    @app.exception_handler(OtoscopeError)
    def ours(_request: Request, error: OtoscopeError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409 if isinstance(error, BusyError) else 400)

    @app.exception_handler(RequestValidationError)
    def strange(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first.get("loc", ()))
        return JSONResponse({"error": f"{where}: {first.get('msg')}"}, 422)

    @app.exception_handler(HTTPException)
    def not_there(_request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code)

    @app.exception_handler(Exception)
    def unexpected(_request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return JSONResponse(
            {"error": f"unexpected {type(error).__name__}; see the log of the studio in the terminal"}, 500
        )


def listen(port: int) -> socket.socket:
    """A socket on this machine's loopback address; port 0 takes any that is free.

    Raises
    ------
    ParameterError
        If the port is taken or not allowed.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen()
    except (OSError, OverflowError) as error:
        found.close()
        raise ParameterError(
            f"cannot listen on port {port}: {getattr(error, 'strerror', None) or error}; give another --port, or 0 for any free one"
        ) from error
    return found


def serve(
    workspace: Workspace, port: int = 0, token: str | None = None, ready: Callable[[str], None] | None = None
) -> None:
    """Serve a workspace until interrupted.

    Parameters
    ----------
    workspace : Workspace
        What is open.
    port : int
        0 for any free one.
    token : str, optional
        By default a new random one.
    ready : callable, optional
        Called with the address of the page once the server listens.

    Raises
    ------
    MissingExtraError
        Without the extra ``studio``.
    ParameterError
        If the port is taken.

    Examples
    --------
    >>> serve(Workspace(model, {"training": data}, "session"), ready=print)  # doctest: +SKIP
    http://127.0.0.1:43215/?token=...
    """
    uvicorn = require("uvicorn", "studio", "otoscope studio")
    bound = listen(port)
    number = bound.getsockname()[1]
    token = token or secrets.token_urlsafe(24)
    app = create_app(workspace, token, number)
    address = f"http://127.0.0.1:{number}/?token={token}"

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    start = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await start(sockets)
        if ready is not None:  # from now on it can be stopped, too
            ready(address)

    server.startup = startup
    try:
        server.run(sockets=[bound])
    finally:
        workspace.close()
        bound.close()

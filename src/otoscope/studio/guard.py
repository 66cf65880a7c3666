"""What is let in: requests to this machine by its own name, from this page, with the token, of a bounded size."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

MAX_BODY = 1 << 20  # bytes: edits are a few hundred
TOO_LARGE = f"the request is larger than {MAX_BODY >> 20} MiB"
TOKEN_HEADER = b"x-otoscope-token"
HEADERS = (
    (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"), (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI middleware.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    token : str
        Needed in the address of the page (``?token=``) and in the header ``X-Otoscope-Token`` of everything else.
    hosts : sequence of str
        Names of this machine, with ports, that a browser may have asked for.
    """

    def __init__(self, app: App, token: str, hosts: tuple[str, ...]):
        self.app, self.token, self.hosts = app, token, {h.casefold() for h in hosts}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refused = self._refuse(scope)
        if refused is not None:
            if refused[0] == 413:
                await _drain(receive)
            await _answer(send, *refused)
            return
        body = await _read(receive)
        if body is None:
            await _answer(send, 413, TOO_LARGE)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self.app(scope, _replayed(body, receive), guarded_send)

    def _refuse(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").casefold()
        if host not in self.hosts:
            return 403, f"this studio answers to {' and '.join(sorted(self.hosts))} only; got {host[:100]!r}"
        origin = headers.get(b"origin", b"").decode("latin-1").casefold()
        if origin and origin not in {f"http://{h}" for h in self.hosts}:
            return 403, f"requests must come from the studio's own page; got {origin[:100]!r}"
        if not self._has_token(scope, headers):
            return 401, "the token is missing or wrong; open the whole address that `otoscope studio` printed"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, TOO_LARGE
        return None

    def _has_token(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> bool:
        given = headers.get(TOKEN_HEADER, b"").decode("latin-1")
        if scope["path"] == "/" and not given:
            given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.encode(), self.token.encode())


async def _read(receive: Receive) -> bytes | None:
    """The body, also one that comes in parts without a length; None if it is too large."""
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            await _drain(receive)
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one part, and then what the server says of the connection."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


async def _drain(receive: Receive) -> None:
    """Take what still comes, within limits: who is still sending would not read the answer."""
    for _ in range(256):
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def _answer(send: Send, status: int, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

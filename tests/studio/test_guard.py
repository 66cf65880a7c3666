"""Who is let in."""

from __future__ import annotations

import contextlib
import json

import pytest

from studio_worlds import raw

STATE = "/api/prototypes/state"


def test_the_token_is_needed_everywhere(client):
    for path, body in (
        ("/", None),
        (STATE, None),
        ("/api/job", None),
        ("/api/prototypes/edit", {"number": 0, "edit": {}}),
        ("/x", None),
    ):
        for token in ("", "wrong", "a-token-for-test", "é"):
            status, content = client.ask(path, body, token=token.encode().decode("latin-1"))
            assert status == 401, path
            assert (
                content["error"]
                == "the token is missing or wrong; open the whole address that `otoscope studio` printed"
            )
    assert client.ask(STATE)[0] == 200
    assert client.ask("/?token=a-token-for-tests", token="")[0] == 200
    assert client.ask(f"{STATE}?token=a-token-for-tests", token="")[0] == 401  # in the address it would be in logs
    assert client.ask("/api/nothing")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example", ""])
def test_other_hosts_are_refused(client, host):
    """A name that somebody else points to this machine (DNS rebinding) does not reach it."""
    status, content = client.ask(STATE, Host=host)
    assert status == 403
    assert "this studio answers to 127.0.0.1" in content["error"]
    assert client.ask(STATE, Host=f"localhost:{client.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_other_origins_are_refused(client, origin):
    status, content = client.ask("/api/prototypes/edit", {"number": 0, "edit": {"edit": "undo"}}, Origin=origin)
    assert status == 403
    assert content["error"].startswith("requests must come from the studio's own page; got")
    assert client.ask(STATE, Origin=f"http://127.0.0.1:{client.port}")[0] == 200


def test_large_requests_are_refused(client):
    edit = "/api/prototypes/edit"
    head = (
        f"POST {edit} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nX-Otoscope-Token: a-token-for-tests\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
    )
    answer = raw(client.port, f"{head}Content-Length: 2000000\r\n\r\n".encode() + b"x" * 2000000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"the request is larger than 1 MiB" in answer
    head += "Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(20):  # without a length; the server may close before all is sent
        with contextlib.suppress(ConnectionError):
            assert raw(client.port, head.encode() + 20 * chunk + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
            break
    else:
        pytest.fail("the connection was closed without an answer")
    assert client.ask(STATE)[0] == 200


def test_answers_are_not_kept_or_framed(client):
    for path in ("/?token=a-token-for-tests", STATE, "/api/nothing"):
        client.ask(path)
        assert client.headers["Cache-Control"] == "no-store"
        assert client.headers["X-Frame-Options"] == "DENY"
        assert client.headers["X-Content-Type-Options"] == "nosniff"
        assert client.headers["Referrer-Policy"] == "no-referrer"


def test_strange_bodies_are_answered_in_words(client):
    edit = "/api/prototypes/edit"
    for body in (
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        json.dumps({"number": "many", "edit": {}}).encode(),
        b"null",
        b"[" * 5000,
    ):
        status, content = client.ask(edit, body)
        assert status in (400, 422), body
        assert content["error"]
    assert client.get(STATE)["number"] == 0

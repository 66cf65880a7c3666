"""A client of a studio."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request

TOKEN = "a-token-for-tests"


class Client:
    """Requests to a studio, with its token unless told otherwise."""

    def __init__(self, port):
        self.port, self.address = port, f"http://127.0.0.1:{port}/?token={TOKEN}"

    def ask(self, path, body=None, token=TOKEN, **headers):
        """Status and content."""
        data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        sent = {"Content-Type": "application/json", **({"X-Otoscope-Token": token} if token else {}), **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers["Content-Type"]
                self.headers = answer.headers
        except urllib.error.HTTPError as error:
            status, content, kind = error.code, error.read(), error.headers["Content-Type"]
            self.headers = error.headers
        return status, json.loads(content) if "json" in kind else content

    def get(self, path, body=None):
        """Content of a request that must succeed."""
        status, content = self.ask(path, body)
        assert status == 200, content
        return content


def raw(port, text):
    """What comes back for bytes that no library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def state(page):
    """What the studio's page says of itself."""
    return page.evaluate("window.otoscope.state()")


def until(page, condition, seconds=30):
    """Until a condition of the state `s` holds; the page's policy forbids Playwright's own way of waiting."""
    end = time.monotonic() + seconds
    script = f"(() => {{ const s = window.otoscope && window.otoscope.state(); return Boolean({condition}); }})()"
    while not page.evaluate(script):
        assert time.monotonic() < end, (condition, state(page))
        time.sleep(0.05)

"""Addresses of the view of prototypes."""

from __future__ import annotations

import time

from studio_worlds import TOKEN

API = "/api/prototypes/"


def test_a_visit_by_requests_alone(client, workspace):
    state = client.get(API + "state")
    assert [p["name"] for p in state["prototypes"]][:2] == ["high 1", "high 2"]
    assert len(client.get(API + "clips")["clips"]) == 9
    assert client.get(API + "one/p1")["nearest"][0]["label"] == 0
    version = client.get(API + "sounds/p1")["versions"][0]
    assert client.get(API + "audio/" + version["sound"])[:4] == b"RIFF"
    assert client.get(API + "clip/3")["versions"][0]["kind"] == "original"
    state = client.get(API + "edit", {"number": 0, "edit": {"edit": "merge", "ids": ["p1", "p2"]}})
    assert len(state["prototypes"]) == 5
    assert client.get(API + "compare/0")["prototypes"] == 6
    assert client.get(API + "tune", {"number": 1, "settings": {"epochs": 2}})["job"]["total"] == 2
    for _ in range(200):
        job = client.get("/api/job")["job"]
        if job["state"] != "running":
            break
        time.sleep(0.05)
    assert job["state"] == "done"
    assert client.get(API + "save", {})["folder"] == str(workspace.folder / "model")
    assert client.get("/api/job/cancel", {})["job"]["state"] == "done"


def test_errors_are_text_with_a_fitting_status(client):
    cases = [
        ("edit", {"number": 0, "edit": {"edit": "delete", "ids": ["p3", "p4"]}}, 400, "class low would be left without"),
        ("edit", {"number": 7, "edit": {"edit": "undo"}}, 409, "changed in another tab or by somebody else"),
        ("edit", {"number": 0, "edit": {"edit": "undo"}}, 400, "there is no edit to undo"),
        ("edit", {"number": 0, "edit": {"edit": "add", "clip": "../../../etc/passwd"}}, 400, "unknown training clip"),
        ("edit", {"number": 0}, 422, "body.edit: Field required"),
        ("edit", {"number": "0x", "edit": {}}, 422, "body.number"),
        ("tune", {"number": 0, "settings": {"epochs": -1}}, 400, "epochs must be int from 1 to 1000; got -1"),
        ("tune", {"number": 0, "settings": {"code": "import os"}}, 400, "unknown setting of tune 'code'"),
        ("tune", {"number": 0, "settings": {"edit": "delete", "ids": ["p1"]}}, 400, "unknown setting of tune 'ids'"),
        ("edit", {"number": 0, "edit": {"edit": "delete", "ids": [{}]}}, 400, "delete needs a list of ids"),
        ("edit", {"number": 0, "edit": {"edit": "delete", "ids": 5}}, 400, "delete needs a list of ids"),
        ("edit", {"number": 0, "edit": []}, 422, "edit"),
        ("edit", {"number": 0, "edit": {"edit": "rename", "id": [], "name": "x"}}, 400, "rename needs the id"),
        ("audio/clip-" + 5000 * "1", None, 400, "unknown sound"),
        ("test", {"number": 0}, 400, "there are no test clips"),
        ("sounds/p77", None, 400, "unknown prototype 'p77'"),
        ("one/..%2f..%2fetc", None, 404, ""),
        ("audio/..%2f..%2fetc%2fpasswd", None, 404, ""),
        ("audio/nothing", None, 400, "unknown sound 'nothing'"),
        ("clip/1000000000000000000000", None, 400, "unknown training clip"),
        ("clip/x", None, 422, "path.number"),
    ]  # fmt: skip
    for path, body, status, said in cases:
        found, content = client.ask(API + path, body, token=TOKEN)
        assert found == status, (path, content)
        assert said in str(content), path
    assert client.get(API + "state")["number"] == 0

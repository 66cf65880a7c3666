"""The view of features over HTTP."""

from __future__ import annotations

import time

from feature_worlds import RATE, planted_classifier, tone
from otoscope.datasets import Dataset, Example
from otoscope.studio import Workspace


def planted_workspace(folder):
    import soundfile

    soundfile.write(folder / "band.wav", tone(1100), RATE, subtype="FLOAT")
    data = Dataset("clips", ("a",), (Example(folder / "band.wav", "a", fold=1, source="a", index=0),), "none")
    return Workspace(planted_classifier(), {"training": data}, folder / "studio")


def finished(client):
    for _ in range(600):
        job = client.get("/api/job")["job"]
        if job["state"] != "running":
            return job
        time.sleep(0.1)
    raise AssertionError("the job does not end")


def test_make_look_and_hear(serving, tmp_path):
    client = serving(planted_workspace(tmp_path))
    assert client.get("/api/atlas/state")["atlas"] is None
    assert client.get("/api/atlas/make", {"layers": ["planted"], "clips": 1})["job"]["state"] == "running"
    assert finished(client)["state"] == "done"
    assert len(client.get("/api/atlas/state")["atlas"]["layers"][0]["features"]) == 4
    content = client.get("/api/atlas/sounds?layer=planted&number=2&clip=0&way=lrp")
    sound = client.get(f"/api/atlas/audio/{content['versions'][1]['sound']}")
    assert sound[:4] == b"RIFF"


def test_strange_requests(serving, tmp_path):
    client = serving(planted_workspace(tmp_path))
    for path, body, status in (
        ("/api/atlas/make", {"layers": ["nothing"], "clips": 1}, 400),
        ("/api/atlas/make", {"layers": "planted"}, 422),
        ("/api/atlas/sounds?layer=planted&number=99&clip=0&way=lrp", None, 400),
        ("/api/atlas/sounds?layer=planted&number=x&clip=0&way=lrp", None, 422),
        ("/api/atlas/sounds?layer=../../etc&number=0&clip=0&way=lrp", None, 400),
        ("/api/atlas/audio/..%2f..%2fetc", None, 404),
        ("/api/atlas/audio/none", None, 400),
    ):
        found, content = client.ask(path, body)
        assert found in (status, 400), (path, found, content)
        assert content["error"]
        assert "Traceback" not in content["error"]


def test_tokens_are_asked_for(serving, tmp_path):
    client = serving(planted_workspace(tmp_path))
    assert client.ask("/api/atlas/state", token="")[0] == 401

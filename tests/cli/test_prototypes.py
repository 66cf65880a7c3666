"""`otoscope prototypes`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

import otoscope as package
from otoscope.prototypes import Session, encode_clips, list_prototypes
from otoscope.prototypes.session_file import weights_digest
from prototype_worlds import tone_network, write_tones


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Folders of a model and of its clips."""
    folder = tmp_path_factory.mktemp("tones")
    model, _ = tone_network(write_tones(folder / "clips"))
    model.name = "tones"
    model.save_pretrained(folder / "model")
    return folder / "model", folder / "clips"


def test_list(otoscope, tones):
    model, _ = tones
    run = otoscope("prototypes", "list", model)
    assert run.code == 0
    assert run.out.splitlines()[1].split() == ["p1", "high", "1", "high", run.out.splitlines()[1].split()[4]]
    rows = otoscope("prototypes", "list", model, "--json").json
    assert [r["votes_for"] for r in rows] == ["high"] * 2 + ["low"] * 2 + ["middle"] * 2
    assert all(0.9 < r["vote"] < 1.1 for r in rows)


def test_sounds(otoscope, tones, tmp_path):
    model, clips = tones
    run = otoscope("prototypes", "sounds", model, "--root", clips, "--out", tmp_path / "sounds")
    assert run.code == 0
    assert "real: 6 of 6 sounds are given the class that their prototype votes for" in run.out
    content = json.loads((tmp_path / "sounds" / "prototypes.json").read_text())
    classifier = package.load_classifier(str(model))
    for row in content["prototypes"]:
        for form in ("decoded", "real"):
            samples, rate = soundfile.read(tmp_path / "sounds" / f"{row['id']}-{form}.wav", dtype="float32")
            assert rate == content["sample_rate"] == 8000
            found = package.classify(package.Clip(samples[None], rate), classifier)[0]
            assert found["label"] == row["heard"][form]["label"]
            np.testing.assert_allclose(found["score"], row["heard"][form]["p"], atol=1e-3)


def test_refine(otoscope, tones, tmp_path):
    model, clips = tones
    run = otoscope(
        "prototypes", "refine", model, "--root", clips, "--validation", "2", "--share", "0.5", "--channels", "1", "--epochs", "3",
        "--out", tmp_path / "fewer", "--json",
    )  # fmt: skip
    assert run.code == 0
    rows = run.json
    assert [(r["step"], r["prototypes"], r["channels"]) for r in rows] == [
        ("as it was", 6, 4), ("prototypes merged", 3, 4), ("channels dropped", 3, 3), ("tuned", 3, 3),
    ]  # fmt: skip
    assert set(rows[0]["accuracy"]) == {"training", "validation"}
    made = package.load_classifier(str(tmp_path / "fewer"))
    assert sum(p.numel() for p in made.network.parameters()) == rows[-1]["parameters"]
    assert len(list_prototypes(made)) == 3
    table = otoscope("prototypes", "refine", model, "--root", clips, "--epochs", "0", "--out", tmp_path / "other").out
    assert "validation" not in table
    assert "tuned" not in table


def test_replay(otoscope, tones, tmp_path):
    model, clips = tones
    base = package.load_classifier(str(model))
    data = package.datasets.load_dataset("folder", clips)
    with Session(base, encode_clips(base, data), tmp_path / "session") as session:
        session.apply({"edit": "delete", "ids": ["p1", "p3"]})
        session.apply({"edit": "tune", "epochs": 2})
        expected = weights_digest(session.current.classifier)
    run = otoscope("prototypes", "replay", model, tmp_path / "session", "--root", clips, "--out", tmp_path / "again")
    assert run.code == 0
    assert "the weights are those of the session" in run.out
    assert weights_digest(package.load_classifier(str(tmp_path / "again"))) == expected
    run = otoscope(
        "prototypes",
        "replay",
        model,
        tmp_path / "session",
        "--root",
        clips,
        "--validation",
        "1",
        "--out",
        tmp_path / "x",
    )
    assert run.code == 2
    assert "was made with other training clips" in run.errors[-1]
    assert not (tmp_path / "x").exists()


def test_fit(otoscope, tones, tmp_path):
    model, clips = tones
    run = otoscope(
        "prototypes",
        "fit",
        model,
        "--root",
        clips,
        "--test",
        "2",
        "--per-class",
        "2",
        "--out",
        tmp_path / "f",
        "--json",
    )
    assert run.code == 0
    found = run.json
    assert (found["measured_on"], found["prototypes"]) == ("test", 6)
    assert found["measures"]["agreement"]["of"] == 9
    assert found["measures"]["coverage"]["value"] == 1
    assert len(list((tmp_path / "f").glob("*.wav"))) == 6
    two = ("--class", "low", "--class", "high", "--per-class", "1")
    some = otoscope("prototypes", "fit", model, "--root", clips, *two, "--out", tmp_path / "two", "--json")
    assert (some.json["prototypes"], some.json["measures"]["coverage"]["value"]) == (2, 1)
    table = otoscope("prototypes", "fit", model, "--root", clips, "--no-hear", "--out", tmp_path / "g").out
    assert "measured on the training clips" in table
    run = otoscope(
        "explain",
        clips / "low-3.wav",
        "--model",
        model,
        "--method",
        f"prototypes,folder={tmp_path / 'f'}",
        "--out",
        tmp_path / "e",
        "--json",
    )
    assert run.code == 0
    record = json.loads((tmp_path / "e" / "low-3" / "explanation.json").read_text())
    assert record["exemplars"][0]["measure"] == "share of the vote"
    assert record["exemplars"][0]["label"] == "low"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "esc10-mn"], "is not a prototype network, such as apnet"),
        (["list", "nowhere"], "nowhere"),
        (["sounds", "{model}", "--root", "{clips}", "--validation", "9", "--out", "x"], "has folds [1, 2]; got [9]"),
        (
            ["sounds", "{model}", "--root", "{clips}", "--validation", "1", "--test", "1", "--out", "x"],
            "cannot serve both",
        ),
        (["sounds", "{model}", "--root", "{clips}", "--validation", "1,2", "--out", "x"], "none is left to train on"),
        (["sounds", "{model}", "--root", "missing", "--out", "x"], "missing"),
        (["refine", "{model}", "--root", "{clips}", "--share", "1.5", "--out", "x"], "share"),
        (["refine", "{model}", "--root", "{clips}", "--share", "0.5", "--threshold", "1", "--out", "x"], "not both"),
        (["refine", "{model}", "--root", "{clips}", "--share", "0.5", "--compat", "--out", "x"], "takes no threshold"),
        (["refine", "{model}", "--root", "{clips}", "--channels", "4", "--out", "x"], "1 to 3 can be dropped; got 4"),
        (["fit", "{model}", "--root", "{clips}", "--layer", "nothing", "--out", "x"], "nothing"),
        (["fit", "{model}", "--root", "{clips}", "--per-class", "0", "--out", "x"], "per-class"),
        (["replay", "{model}", "nowhere", "--root", "{clips}", "--out", "x"], "is missing or empty"),
        (["sounds", "{model}", "--out", "x"], "--root"),
    ],
)
def test_bad_input_is_one_line(otoscope, tones, arguments, said):
    model, clips = tones
    run = otoscope("prototypes", *(a.format(model=model, clips=clips) for a in arguments))
    assert run.code == 2
    assert said in run.errors[-1]
    assert "Traceback" not in run.err

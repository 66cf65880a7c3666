"""The file of a session."""

from __future__ import annotations

import json

import pytest
import torch

from otoscope.core.errors import OtoscopeError
from otoscope.prototypes import rename
from otoscope.prototypes.session_file import check_header, clips_digest, read_lines, weights_digest


def test_digests_tell_weights_names_and_clips_apart(tones):
    model, clips = tones
    assert weights_digest(model) == weights_digest(rename(model, "p1", "high 1"))
    assert weights_digest(model) != weights_digest(rename(model, "p1", "other"))
    changed = rename(model, "p1", "high 1")
    changed.network.encoder.conv1.bias.data[0] += 1e-6
    assert weights_digest(model) != weights_digest(changed)
    nearly = type(clips)(clips.examples, clips.maps * (1 + 1e-7), clips.targets)
    assert clips_digest(nearly) == clips_digest(clips)
    for other in (
        type(clips)(clips.examples[::-1], clips.maps, clips.targets),
        type(clips)(clips.examples, clips.maps, (clips.targets + 1) % 3),
        type(clips)(clips.examples, clips.maps + torch.tensor(0.05), clips.targets),
    ):
        assert clips_digest(other) != clips_digest(clips)


def test_lines_that_are_cut_short_and_damaged(tmp_path):
    path = tmp_path / "edits.jsonl"
    assert read_lines(path) == []
    path.write_text('{"a": 1}\n{"b": 2}\n{"c"')
    assert read_lines(path) == [{"a": 1}, {"b": 2}]
    for bad in ("{x}", "[1]", "3", "", "[" * 100_000):
        path.write_text('{"a": 1}\n' + bad + "\n")
        with pytest.raises(
            OtoscopeError, match="line 2 is damaged; restore the file, or begin a session in another folder"
        ):
            read_lines(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(OtoscopeError, match="cannot read the session"):
        read_lines(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "model"}, "is not a session of prototypes; give the folder of one"),
        ({"format": 2}, "has format 2, and this version of Otoscope reads formats up to 1; update Otoscope"),
        ({"format": "1"}, "has format '1'"),
        ({"weights": "0"}, "is the session of another model"),
        ({"clips": None}, "was made with other training clips"),
    ],
)
def test_headers_that_are_refused(tones, tmp_path, change, said):
    model, clips = tones
    good = {
        "format": 1, "kind": "otoscope prototype session", "model": "x", "weights": weights_digest(model),
        "clips": clips_digest(clips),
    }  # fmt: skip
    check_header(json.loads(json.dumps(good)), model, clips, tmp_path)
    with pytest.raises(OtoscopeError, match=said):
        check_header(good | change, model, clips, tmp_path)

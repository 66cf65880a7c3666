"""`otoscope methods`, `domains`, `masks`: what the registry holds, all of it."""

from __future__ import annotations

import pytest

from otoscope.core import registry

KINDS = {"methods": "method", "domains": "domain", "masks": "mask"}
WANTED = {
    "methods": {
        "gradient", "input_x_gradient", "integrated_gradients", "smooth_grad", "grad_cam", "occlusion", "rise",
        "mask_optimisation",
    },
    "domains": {"stft", "mel", "time", "features"},
    "masks": {
        "minmax", "sigmoid", "binary", "topk", "positive", "positive:sigmoid", "positive:threshold", "positive:topk",
        "energy",
    },
}  # fmt: skip


@pytest.mark.parametrize("command", KINDS)
def test_json_is_the_registry(otoscope, command):
    run = otoscope(command, "--json")
    assert (run.code, run.err) == (0, "")
    assert {row["name"] for row in run.json} >= WANTED[command]
    assert [row["name"] for row in run.json] == registry.names(KINDS[command])
    for row in run.json:
        assert row["summary"]
        assert all({"type", "default", "help"} <= set(p) for p in row["parameters"].values())


@pytest.mark.parametrize("width", ["20", "80", "300"])
@pytest.mark.parametrize("command", KINDS)
def test_the_table_names_them_all_with_their_settings(otoscope, command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    run = otoscope(command)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0].startswith("name")
    starts = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert starts == registry.names(KINDS[command])
    for entry in registry.entries(KINDS[command]):
        for parameter in entry.parameters:
            assert f"{parameter.name}={parameter.default}" in run.out.replace("\n", " ")


@pytest.mark.parametrize("command", KINDS)
def test_they_take_no_argument(otoscope, command):
    run = otoscope(command, "x")
    assert run.code == 2
    assert "unexpected extra argument" in run.err


def test_what_the_tables_offer_is_taken_by_explain(otoscope):
    from otoscope.explanation.request import make_request

    for method in registry.names("method"):
        for domain in registry.fitting_domains(method):
            make_request(method, domain, "positive", None, 0, 1)
    for mask in registry.names("mask"):
        make_request("rise", "mel", mask, None, 0, 1)

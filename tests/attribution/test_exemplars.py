"""The sounds that a clip was compared with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import otoscope
from otoscope.attribution.exemplars import LOGIT, SHARE, fitted_exemplars, network_exemplars
from otoscope.core.errors import OtoscopeError
from otoscope.prototypes import fit_prototypes, write_prototype_sounds
from otoscope.prototypes.clips import window
from prototype_worlds import TONES, tone_clip, tone_network, write_tones


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A network of three tones, its clips, and their folder."""
    folder = write_tones(tmp_path_factory.mktemp("tones"))
    return *tone_network(folder), folder


def test_contributions_are_those_of_the_network(tones):
    model, _, _ = tones
    sound = torch.from_numpy(tone_clip(TONES["low"], 77)[: model.maximum_length])
    found = network_exemplars(model, [sound], 1)
    with torch.no_grad():
        features = model.features(sound[None])
        cells = model.network.contributions(features, torch.tensor([1])).sum((2, 3))[0]
        similar = model.network.prototypes(model.network.encoder(features).map)[0][0]
        logit = float(model(sound[None])[0, 1])
    order = cells.abs().argsort(descending=True)[:3].tolist()
    assert [e.id for e in found] == [f"p{i + 1}" for i in order]
    assert [e.contribution for e in found] == pytest.approx([float(cells[i]) for i in order], rel=1e-4)
    assert [e.similarity for e in found] == pytest.approx([float(similar[i]) for i in order], rel=1e-4)
    assert {e.label for e in found[:2]} == {"low"}
    every = network_exemplars(model, [sound], 1, n=6)
    assert sum(e.contribution for e in every) == pytest.approx(logit, rel=1e-4)
    assert {e.measure for e in found} == {LOGIT}


def test_of_several_windows_the_mean_counts(tones):
    model, _, _ = tones
    windows = [torch.from_numpy(tone_clip(TONES[n], 5)[: model.maximum_length]) for n in ("low", "high")]
    single = [{e.id: e.contribution for e in network_exemplars(model, [w], 0, n=6)} for w in windows]
    both = {e.id: e.contribution for e in network_exemplars(model, windows, 0, n=6)}
    assert both == pytest.approx({k: (single[0][k] + single[1][k]) / 2 for k in both}, rel=1e-4)


def test_sounds_are_those_of_the_model_folder_or_decoded(tones, tmp_path):
    model, clips, _ = tones
    sound = torch.from_numpy(window(model, clips.examples[0]))
    decoded = network_exemplars(model, [sound], 0)[0]
    assert decoded.note.startswith("decoded with the pooling masks of this clip")
    assert len(decoded.samples) > 1000
    model.save_pretrained(tmp_path / "model")
    rows = write_prototype_sounds(model, clips, tmp_path / "model" / "prototypes")
    loaded = otoscope.load_classifier(str(tmp_path / "model"))
    found = network_exemplars(loaded, [sound], 0)
    for e in found:
        row = next(r for r in rows if r["id"] == e.id)
        assert e.note == f"the nearest training clip, {row['clip']}"
        example = next(x for x in clips.examples if x.path.name == row["clip"])
        np.testing.assert_allclose(e.samples, window(model, example), atol=1e-6)
    with torch.no_grad():
        loaded.network.out.weight[0, 0] += 1e-3  # another network than that whose sounds are there
    assert network_exemplars(loaded, [sound], 0)[0].note.startswith("decoded")
    loaded = otoscope.load_classifier(str(tmp_path / "model"))
    for damage in ("{", '{"prototypes": [{"id": "p1"}]}', '{"prototypes": 3}'):
        (tmp_path / "model" / "prototypes" / "prototypes.json").write_text(damage)
        assert network_exemplars(loaded, [sound], 0)[0].note.startswith("decoded")


def test_fitted_prototypes_of_any_classifier(tones, tmp_path):
    model, clips, folder = tones
    data = otoscope.datasets.load_dataset("folder", folder)
    fitted = fit_prototypes(model, data, per_class=1)
    fitted.save(tmp_path / "fitted")
    sound = window(model, clips.examples[8])
    found = fitted_exemplars(model, [torch.from_numpy(sound)], 1, str(tmp_path / "fitted"))
    match = fitted.match(model, sound)
    order = match.share.argsort()[::-1]
    assert [e.id for e in found] == [fitted.prototypes[i].id for i in order]
    assert [abs(e.contribution) for e in found] == pytest.approx([match.share[i] for i in order], rel=1e-3)
    assert [e.contribution > 0 for e in found] == [fitted.prototypes[i].label == 1 for i in order]
    assert [e.similarity for e in found] == pytest.approx([match.similarity[i] for i in order], rel=1e-3)
    np.testing.assert_allclose(found[0].samples, fitted.prototypes[order[0]].sound.mean(0), atol=1e-6)
    assert found[0].measure == SHARE
    assert found[0].note.startswith("a stretch of low-")
    with pytest.raises(OtoscopeError, match="the prototypes"):
        fitted_exemplars(model, [torch.from_numpy(sound)], 1, str(tmp_path / "nowhere"))


def test_an_explanation_has_them_in_record_files_and_page(tones, tmp_path):
    model, clips, _ = tones
    found = otoscope.explain(clips.examples[7].path, model, method="prototypes")
    files = found.save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert [r["label"] for r in record["exemplars"]][:2] == ["low", "low"]
    assert record["files"]["exemplar 1"] == "exemplar-1.wav"
    written = otoscope.load_audio(files["exemplar 2"]).samples[0] if hasattr(otoscope, "load_audio") else None
    if written is not None:
        np.testing.assert_allclose(written, found.exemplars[1].samples, atol=1e-6)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<audio controls") == 3
    assert "The network decides by how alike a sound is to its prototypes." in page
    other = otoscope.explain(clips.examples[7].path, model, method="gradient")
    assert other.exemplars == []
    assert "exemplars" not in other.record()

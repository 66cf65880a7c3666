"""Views appear by themselves."""

from __future__ import annotations

import otoscope
from otoscope.core import registry
from otoscope.datasets import load_dataset
from otoscope.studio import View, Workspace
from otoscope.studio.views import views_for


def test_a_view_says_what_it_serves(workspace, tones, tmp_path):
    assert [view.name for view in views_for(workspace)] == ["prototypes", "atlas"]
    other = Workspace(
        otoscope.load_classifier("esc10-mn"), {"training": load_dataset("folder", tones[1])}, tmp_path / "other"
    )
    assert [view.name for view in views_for(other)] == ["atlas"]
    blind = otoscope.wrap_function(lambda x: abs(x[:, :2]), sample_rate=8000, labels=["a", "b"])
    assert views_for(Workspace(blind, {"training": load_dataset("folder", tones[1])}, tmp_path / "blind")) == []


def test_a_new_view_needs_no_other_edit(workspace, monkeypatch):
    registry.discover()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    made = View("colours", "Colours", lambda w: w.model.name == "tones", lambda w: None, "studio_prototypes.html.jinja")
    registry.register("studio", "colours", summary="Colours of the tones.")(lambda: made)
    assert [view.name for view in views_for(workspace)] == ["prototypes", "atlas", "colours"]

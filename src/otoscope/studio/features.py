"""The features of a model's layers in the studio: their atlas, made in the background, and any of them in any clip."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.auralisation.atlas import CHUNK, FILE, FORMAT, default_layers, make_atlas
from otoscope.auralisation.auralise import Way
from otoscope.auralisation.layer_sounds import layer_sounds
from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_features import layer_features
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.core.files import read_json
from otoscope.core.records import Clip
from otoscope.datasets import waveform
from otoscope.datasets.records import spread
from otoscope.report.templating import showable
from otoscope.studio.stage import Stage
from otoscope.studio.workspace import BackgroundJob, Workspace

FOLDER = "atlas"
WAYS = ("deconvolution", "guided_backprop", "gradient", "lrp", "grad_cam", "mask_optimisation")
LONGEST_S = 30.0
MOST_LAYERS = 100


class CancelledError(OtoscopeError):
    """Somebody asked a job to stop."""


class FeatureDesk:
    """Features of the workspace's model.

    Parameters
    ----------
    workspace : Workspace
        The atlas of its model is kept in its folder, under ``atlas``; clips are those for training.
    """

    def __init__(self, workspace: Workspace):
        self.work = workspace
        self.stage = Stage(workspace.model.sample_rate)
        self.examples = tuple(workspace.data["training"].examples)
        self._layers: dict[str, Classifier] = {}
        self._atlas: dict[str, Any] | None = self._read()

    @property
    def folder(self) -> Path:
        """Of the atlas."""
        return self.work.folder / FOLDER

    def close(self) -> None:
        """Nothing is open."""

    # --- what is shown ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the page shows at once: the atlas if there is one, what can be asked."""
        with self.work.lock:
            job = self.work.job
            return {
                "atlas": self._atlas, "layers": self._default_layers(), "ways": list(WAYS),
                "clips": [{"file": str(showable(e.path.name)), "label": e.label} for e in self.examples],
                "job": job.row() if job is not None else None,
            }  # fmt: skip

    def _default_layers(self) -> list[str]:
        try:
            return default_layers(self.work.model)
        except UnsupportedError:
            return []

    def _read(self) -> dict[str, Any] | None:
        """The atlas that was made, with the number of each clip; None without one of this model."""
        try:
            atlas = dict(read_json(self.folder / FILE))
            if atlas["format"] != FORMAT or atlas["model"]["sha256"] != self.work.model.digest():
                return None
            chosen = spread(range(len(self.examples)), atlas["clips"])
            named: dict[tuple[str, str], list[int]] = {}
            for i, example in enumerate(self.examples):
                named.setdefault((example.path.name, example.label), []).append(i)
            for layer in atlas["layers"]:
                for feature in layer["features"]:
                    for clip in feature["clips"]:
                        clip["place"] = _place(clip, chosen, named.get((clip["clip"], clip["label"]), []))
            return atlas
        except (OtoscopeError, KeyError, TypeError):
            return None

    # --- the atlas ----------------------------------------------------------------------------------------------------

    def make(self, layers: Sequence[str], clips: int) -> dict[str, Any]:
        """Make the atlas in the background, with the results of earlier runs.

        Raises
        ------
        BusyError
            If a job is running.
        ParameterError
            For layers that are not names, or a number of clips that is not one.
        UnknownNameError, UnsupportedError
            For layers that are not there, or have no features.
        """
        whole = isinstance(clips, int) and not isinstance(clips, bool)
        names = isinstance(layers, list) and all(isinstance(name, str) and name for name in layers)
        if not whole or clips < 1 or not names or len(layers) > MOST_LAYERS:
            raise ParameterError(
                f"an atlas takes names of layers (at most {MOST_LAYERS}) and a number of clips of at least 1; got {layers!r} and "
                f"{clips!r}"
            )
        with self.work.lock:
            wanted = list(dict.fromkeys(layers)) or default_layers(self.work.model)
            chosen = spread(self.examples, clips)
            rounds = [len(chosen), *(len(self._features(name).labels) for name in wanted)]
            total = 2 + sum(math.ceil(n / CHUNK) for n in rounds)

            model = self._copied()  # hooks of the job are not to meet passes for other requests

            def work(job: BackgroundJob) -> None:
                done = 0

                def note(_line: str) -> None:
                    nonlocal done
                    done = min(done + 1, total)
                    if job.step(done):
                        raise CancelledError("the atlas was stopped; its finished parts are kept for the next run")

                make_atlas(model, chosen, self.folder, wanted, log=note)
                with self.work.lock:
                    self._atlas = self._read()

            return {"job": self.work.begin("the atlas", total, work).row()}

    def _copied(self) -> Classifier:
        try:
            return copy.deepcopy(self.work.model)
        except Exception as error:  # whatever a model of somebody else's holds
            raise UnsupportedError(
                f"{self.work.model.name!r} cannot be copied ({type(error).__name__}), so its atlas cannot be made "
                f"beside other work; make it with 'otoscope atlas ... --out {self.folder}'"
            ) from error

    # --- one feature --------------------------------------------------------------------------------------------------

    def sounds_of(self, layer: str, number: int, place: int, way: str = WAYS[0]) -> dict[str, Any]:
        """A feature in a clip: what it responds to, and the rest; with measures, pictures and what the network says.

        Parameters
        ----------
        layer : str
            Dotted name.
        number : int
            Of the feature.
        place : int
            Of the clip, among those for training.
        way : str
            A method, see `WAYS`.

        Raises
        ------
        UnknownNameError, ParameterError
            For a layer, feature, clip or way that is not there.
        """
        if way not in WAYS:
            raise UnknownNameError("way", way[:60], WAYS)
        if not 0 <= place < len(self.examples):
            raise UnknownNameError("training clip", str(place)[:20], ["0", str(len(self.examples) - 1)])
        with self.work.lock:
            features, model = self._features(layer), self.work.model
            sound, file = self._sound(place), str(showable(self.examples[place].path.name))
            key = hashlib.sha256(json.dumps([layer, number, place, way]).encode()).hexdigest()[:16]
            (one,) = layer_sounds(features, Clip(sound[None], model.sample_rate), [number], Way(way))
            versions = [self._version(f"clip-{place}", sound, "original", "Original", file)]
            title = f"{layer}, feature {number}, in {file}"
            if one.measures is None or one.kept is None or one.removed is None:
                return self.stage.content(versions) | {"of": f"{title}: it does not respond", "silent": True}
            m = one.measures
            for part, kind, name, note, share, selectivity in (
                (one.kept, "kept", "What draws it", "kept", m.kept, m.selectivity),
                (one.removed, "removed", "The rest", "removed", m.removed, m.selectivity_removed),
            ):
                facts = [["Response", _number(share)], ["Selectivity", _number(selectivity)]]
                versions.append(self._version(f"{key}-{note}", part[0], kind, name, note, facts))
            return self.stage.content(versions) | {"of": title, "silent": False}

    def audio(self, key: str) -> bytes:
        """A sound that was shown, as WAV.

        Raises
        ------
        UnknownNameError
        """
        return self.stage.wav(key)

    def _features(self, layer: str) -> Classifier:
        if layer not in self._layers:
            self._layers[layer] = layer_features(self.work.model, layer)
        return self._layers[layer]

    def _sound(self, place: int) -> np.ndarray:
        model = self.work.model
        longest = model.maximum_length or round(LONGEST_S * model.sample_rate)
        return np.array(waveform(self.examples[place], model.sample_rate)[:longest], np.float32)

    def _version(
        self, key: str, sound: np.ndarray, kind: str, title: str, note: str, facts: Sequence[Sequence[str]] = ()
    ) -> dict[str, Any]:
        self.stage.keep(key, sound)
        return self.stage.version(self.work.model, key, sound, kind, title, note, facts)


def _place(clip: dict[str, Any], chosen: Sequence[int], named: Sequence[int]) -> int:
    """The number of an atlas's clip among all: where it was taken from, else the first of its name; -1 where there is none."""
    taken = chosen[clip["place"]] if 0 <= clip["place"] < len(chosen) else -1
    return taken if taken in named else next(iter(named), -1)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "\u2013"

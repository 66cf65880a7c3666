"""The editor of prototypes: a session, and what the page shows of it, cached prototype by prototype."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import fit_length
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_maps import record_maps
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.prototypes import EncodedClips, Session, encode_clips, list_prototypes, owners, prototype_network
from otoscope.prototypes.clips import window
from otoscope.prototypes.edit import positions, votes_without
from otoscope.prototypes.sounds import decode
from otoscope.report.templating import showable
from otoscope.studio.stage import Stage
from otoscope.studio.workspace import BackgroundJob, BusyError, Workspace

COMPONENTS = 4
NEAREST = 3


class Editor:
    """Prototypes of the workspace's model.

    Parameters
    ----------
    workspace : Workspace
        Its model is a prototype network; sessions are kept in its folder under ``prototypes``.
    """

    def __init__(self, workspace: Workspace):
        self.work = workspace
        model = workspace.model
        origin = (model.origin or {}).get("name")
        if isinstance(origin, str) and Path(origin).resolve() == (workspace.folder / "model").resolve():
            raise ParameterError(
                f"the model lies where the studio would save the edited one ({workspace.folder / 'model'}); give another --out"
            )
        parts: dict[str, EncodedClips] = {}
        for name, data in workspace.data.items():
            if len(data):
                workspace.progress(f"encoding {len(data)} clips of the {name} part")
                parts[name] = encode_clips(model, data)
        self.training, self.validation = parts["training"], parts.get("validation")
        self.session = Session(
            model, self.training, workspace.folder / "prototypes", self.validation, parts.get("test"), workspace.lock
        )
        self._files = [str(showable(e.path.name)) for e in self.training.examples]
        self._project(self.training.maps)
        self._bands = self._names_of_bands()
        # of a prototype: distances from training clips, similarities to validation clips
        self._rows: dict[str, tuple[Tensor, Tensor]] = {}
        self.stage = Stage(model.sample_rate)
        self._before = self.session.evaluate(0) if self.validation is not None else None
        self._table()

    def _project(self, maps: Tensor) -> None:
        """Principal components of the training clips, on which everything is shown."""
        flat = maps.flatten(1)
        self._mean = flat.mean(0)
        rank = min(COMPONENTS, len(flat) - 1, flat.shape[1])
        self._axes = torch.zeros(flat.shape[1], COMPONENTS)
        self._explained = [0.0] * COMPONENTS
        if rank > 0:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                _, values, axes = torch.pca_lowrank(flat, q=rank, niter=4)
            total = float((flat - self._mean).square().sum().clamp_min(1e-12))
            self._axes[:, :rank] = axes
            self._explained[:rank] = [float(v) ** 2 / total for v in values]
        self._places = ((flat - self._mean) @ self._axes).tolist()

    def _names_of_bands(self) -> list[str]:
        """The bands of latent maps, from low to high."""
        sound = torch.from_numpy(self._clip(0))[None]
        made = record_maps(self.work.model, sound, prototype_network(self.work.model).latent_layer)
        edges = made.cells.edges_hz.round().astype(int).tolist()
        return [f"{low}\u2013{high} Hz" for low, high in itertools.pairwise(edges)]

    def close(self) -> None:
        """Let others open the session."""
        self.session.close()

    # --- what is shown ------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Classifier:
        """The network as it is now."""
        return self.session.current.classifier

    def state(self) -> dict[str, Any]:
        """All that the page shows at once: prototypes, votes, history, accuracy."""
        with self.work.lock:
            model, session = self.model, self.session
            network = prototype_network(model)
            places = ((network.prototypes.maps.detach().flatten(1).cpu() - self._mean) @ self._axes).tolist()
            lost, accuracy = self._lost(model)
            rows = [
                {
                    "id": p.id, "name": p.name, "clip": p.clip, "label": owner, "place": place,
                    "votes": network.out.weight[:, i].tolist(), "lost": lost[i],
                }
                for i, (p, owner, place) in enumerate(zip(list_prototypes(model), owners(model), places, strict=True))
            ]  # fmt: skip
            return {
                "number": session.number, "version": session.current.number, "history": session.history,
                "can_undo": bool(session.history), "can_redo": session.can_redo, "labels": list(model.labels),
                "prototypes": rows, "accuracy": accuracy,
                "accuracy_before": self._before,
                "tested": session.tested, "can_test": session.test is not None, "interrupted": session.interrupted,
                "job": self.work.job.row() if self.work.job is not None else None,
            }  # fmt: skip

    def clips(self) -> dict[str, Any]:
        """The training clips and where they lie; these do not change."""
        rows = [
            {"file": file, "label": int(t), "place": place}
            for file, t, place in zip(self._files, self.training.targets, self._places, strict=True)
        ]
        return {"clips": rows, "explained": self._explained}

    def detail(self, id: str) -> dict[str, Any]:
        """One prototype: nearest clips, weights over frequency, what leaves with it."""
        with self.work.lock:
            model = self.model
            (i,) = positions(model, [id])
            network = prototype_network(model)
            distances, _ = self._table()[i]
            found = distances.topk(min(NEAREST, len(distances)), largest=False)
            nearest = [
                {"clip": int(n), "file": self._files[n], "label": int(self.training.targets[n]),
                    "distance": float(d)}
                for n, d in zip(found.indices.tolist(), found.values.tolist(), strict=True)
            ]  # fmt: skip
            bands = list(zip(self._bands, network.prototypes.weights[i].tolist(), strict=True))
            rows = [{"label": label, "value": value} for label, value in reversed(bands)]  # high ones above
            return {"id": id, "nearest": nearest, "bands": rows}

    def compare(self, number: int) -> dict[str, Any]:
        """An earlier version beside this one.

        Raises
        ------
        ParameterError
            If there is no such version.
        """
        with self.work.lock:
            other = self.session.version(number)
            now, then = ({p.id: p.name for p in list_prototypes(m)} for m in (self.model, other.classifier))
            return {
                "number": number, "accuracy": self.session.evaluate(number) if self.validation is not None else None,
                "prototypes": len(then), "gone": [then[i] for i in then if i not in now],
                "new": [now[i] for i in now if i not in then],
                "edit": other.edit,
            }  # fmt: skip

    def _lost(self, model: Classifier) -> tuple[list[dict[str, Any] | None], float | None]:
        """For each prototype, how accuracy and loss on validation clips change without it (None for the last one of a class).

        The second is the accuracy with all of them.
        """
        if self.validation is None:
            return [None] * len(owners(model)), None
        classes, out = owners(model), prototype_network(model).out.weight.detach().cpu()
        similarities = torch.stack([row[1] for row in self._table()], 1)  # (clip, prototype)
        before = self._score(similarities @ out.T)
        found: list[dict[str, Any] | None] = []
        for i, owner in enumerate(classes):
            if classes.count(owner) == 1:
                found.append(None)
                continue
            kept = [k for k in range(len(classes)) if k != i]
            after = self._score(similarities[:, kept] @ votes_without(out, classes, {i}).T)
            found.append({"accuracy": before[0] - after[0], "loss": after[1] - before[1]})
        return found, before[0]

    def _score(self, logits: Tensor) -> tuple[float, float]:
        targets = self.validation.targets if self.validation is not None else torch.zeros(0)
        right = float((logits.argmax(1) == targets).float().mean())
        return right, float(torch.nn.functional.cross_entropy(logits, targets))

    def _table(self) -> list[tuple[Tensor, Tensor]]:
        """Of each prototype, distances from training clips and similarities to validation clips, both ``(clip,)``; kept."""
        layer = prototype_network(self.model).prototypes
        keys = [_key(layer.maps[i], layer.weights[i]) for i in range(len(layer.maps))]
        new = [i for i, key in enumerate(keys) if key not in self._rows]
        if new:
            part = layer.subset(new)
            held = self.validation.maps if self.validation is not None else self.training.maps[:0]
            with torch.no_grad():
                distances = torch.cat(
                    [part(m.to(part.maps))[1].mean(-1).cpu() for m in self.training.maps.split(256)]
                ).float()
                alike = torch.cat([part(m.to(part.maps))[0].cpu() for m in held.split(256)]).float()
            for place, i in enumerate(new):
                self._rows[keys[i]] = (distances[:, place].clone(), alike[:, place].clone())
        for key in [k for k in self._rows if k not in keys][: max(0, len(self._rows) - 2000)]:
            del self._rows[key]
        return [self._rows[key] for key in keys]

    # --- sounds -------------------------------------------------------------------------------------------------------

    def sounds_of(self, id: str) -> dict[str, Any]:
        """A prototype as sounds: decoded, and the nearest clips; with pictures and what the network says of each."""
        with self.work.lock:
            model = self.model
            (i,) = positions(model, [id])
            name, about = list_prototypes(model)[i].name, self.detail(id)
            near = about["nearest"]
            latent = prototype_network(model).prototypes.maps[i].detach()
            key = f"prototype-{_key(latent)}-{near[0]['clip']}"
            donor = self._clip(near[0]["clip"])
            sound = self.stage.kept(key)
            if sound is None:
                sound = fit_length(decode(model, latent, donor), len(donor))
                self.stage.keep(key, sound)
        note = "through the decoder, placed by the nearest clip"
        versions = [self.stage.version(model, key, sound, "reconstruction", "Decoded", note)]
        for place, row in enumerate(near):
            title = "Real" if place == 0 else f"Clip {place + 1}"
            note = f"{'the nearest clip' if place == 0 else 'near'}: {row['file']}"
            facts = [["Distance", f"{row['distance']:.2f}"], ["Class", model.labels[row["label"]]]]
            clip = self._clip(row["clip"])
            versions.append(self.stage.version(model, f"clip-{row['clip']}", clip, "original", title, note, facts))
        return self.stage.content(versions) | {"of": name, "bands": about["bands"]}

    def sounds_of_clip(self, number: int) -> dict[str, Any]:
        """A training clip as the network hears it.

        Raises
        ------
        UnknownNameError
            If there is no such clip.
        """
        if not 0 <= number < len(self.training):
            raise UnknownNameError("training clip", str(number)[:20], ["0", str(len(self.training) - 1)])
        file, label = self._files[number], self.model.labels[int(self.training.targets[number])]
        with self.work.lock:
            shown = self.stage.version(self.model, f"clip-{number}", self._clip(number), "original", file, label)
        return self.stage.content([shown]) | {"of": file}

    def audio(self, key: str) -> bytes:
        """A sound that was shown, as WAV.

        Raises
        ------
        UnknownNameError
        """
        kind, _, number = key.partition("-")
        if (
            kind == "clip"
            and number.isascii()
            and number.isdecimal()
            and len(number) < 10
            and int(number) < len(self.training)
        ):
            return self.stage.wav(key, self._clip(int(number)))
        return self.stage.wav(key)

    def _clip(self, number: int) -> np.ndarray:
        return window(self.work.model, self.training.examples[number])  # from the cache of decoded files

    # --- what can be done ---------------------------------------------------------------------------------------------

    def change(self, number: int, edit: Mapping[str, Any]) -> dict[str, Any]:
        """Make an edit, ``undo`` or ``redo`` of the state that the page showed.

        Parameters
        ----------
        number : int
            Of the session's last line that the page has seen.
        edit : mapping
            See `Session.apply`; or ``{"edit": "undo"}``, ``{"edit": "redo"}``.

        Raises
        ------
        BusyError
            If a job is running, or somebody else changed something since.
        OtoscopeError
            If the edit is not possible.
        """
        with self.work.lock:
            self._check(number)
            if edit.get("edit") in ("undo", "redo"):
                (self.session.undo if edit["edit"] == "undo" else self.session.redo)()
            elif edit.get("edit") == "tune":
                raise ParameterError("tuning is a job; ask for it as one")
            else:
                self.session.apply(edit)
            return self.state()

    def tune(self, number: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Tune in the background.

        Raises
        ------
        BusyError, ParameterError
        """
        with self.work.lock:
            self._check(number)
            edit = self.session.checked({**settings, "edit": "tune"})

            def work(job: BackgroundJob) -> None:
                self.session.apply(edit, job.step)
                with self.work.lock:
                    self._table()

            return {"job": self.work.begin("the tuning", edit["epochs"], work).row()}

    def test(self, number: int) -> dict[str, Any]:
        """Accuracy on the test clips, once.

        Raises
        ------
        BusyError, ParameterError
        """
        with self.work.lock:
            self._check(number)
            self.session.evaluate_test()
            return self.state()

    def save(self) -> dict[str, Any]:
        """The network as it is now, as a model folder in the studio's folder."""
        with self.work.lock:
            return {"folder": str(self.model.save_pretrained(self.work.folder / "model"))}

    def _check(self, number: int) -> None:
        if self.work.busy and self.work.job is not None:
            raise BusyError(f"{self.work.job.name} is running; wait for it or cancel it, then try again")
        if number != self.session.number:
            raise BusyError(
                "the prototypes were changed in another tab or by somebody else; look at them as they are now"
            )


def _key(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]

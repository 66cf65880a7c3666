"""Distillation from any classifier: its outputs, and maps of its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from otoscope.audio import resample
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import ParameterError
from otoscope.surgery import preserve_state, record_layers
from otoscope.training.classifier.settings import TeacherSettings


class Distiller(nn.Module):
    """Distance of a student's outputs and feature maps from a teacher's.

    Where both name the same classes, the outputs are compared; else a linear head on one of the student's maps predicts
    all of the teacher's classes. Each hint layer's map of the student is projected (1x1 convolution) onto the teacher's,
    which is standardised a channel. Head and projections are thrown away after training: nothing of the teacher ends up in
    the student's file.

    Source: hinton2015distilling for outputs, romero2015fitnets for hints.
    """

    student: Classifier
    teacher: Classifier

    def __init__(self, student: Classifier, teacher: Classifier, settings: TeacherSettings):
        super().__init__()
        self.settings = settings
        # Neither is registered as a part of this module, and neither is saved with it.
        object.__setattr__(self, "student", student)
        object.__setattr__(self, "teacher", teacher.eval().requires_grad_(False))
        pairs = [name.split("=", 1) for name in settings.hint_layers]
        self.pairs = [(pair[0], pair[-1]) for pair in pairs] if settings.hints > 0 else []
        self.same_classes = student.labels == teacher.labels
        self.layer = "" if self.same_classes else settings.layer or student.cam_layer or ""
        if not self.same_classes and not self.layer:
            raise ParameterError(f"{student.name!r} has no layer to put a head on; name one: teacher.layer=NAME")
        self.projections = nn.ModuleDict()
        self.head: nn.Linear | None = None
        with torch.no_grad(), preserve_state(student), preserve_state(teacher):
            self._size(student, teacher)

    def _size(self, student: Classifier, teacher: Classifier) -> None:
        """Create the projections and the head, sized by a pass over one second of silence."""
        with self.record() as own:
            student(torch.zeros(1, student.sample_rate))
        with record_layers(teacher.network, [b for _, b in self.pairs]) as theirs:
            teacher(torch.zeros(1, teacher.sample_rate))
        for a, b in self.pairs:
            n_in, n_out = (m.shape[1] for m in (self._map(own, a), teacher.maps(b, theirs[b][0])))
            self.projections[_key(a)] = nn.Conv2d(n_in, n_out, 1)
        if self.layer:
            self.head = nn.Linear(self._pooled(own, self.layer).shape[1], len(teacher.labels))
            if teacher.multilabel:
                nn.init.constant_(self.head.bias, -6.0)  # most of a tagger's classes are absent

    def record(self):  # type: ignore[no-untyped-def]  # a context manager of record_layers
        """Record the feature maps of the student's forward passes inside the block."""
        names = dict.fromkeys([a for a, _ in self.pairs] + ([self.layer] if self.layer else []))
        return record_layers(self.student.network, list(names))

    def _map(self, recorded: dict[str, list[Tensor]], name: str) -> Tensor:
        maps = self.student.maps(name, recorded[name][-1])
        return maps if maps.ndim == 4 else maps[:, :, None]  # (batch, channel, freq, frame)

    def _pooled(self, recorded: dict[str, list[Tensor]], name: str) -> Tensor:
        """A layer's mean over all places, ``(batch, channel)``; patch-out may leave tokens that lie on no grid."""
        if self.student.axes_of(name) == "token channel":
            return recorded[name][-1].mean(1)
        return self._map(recorded, name).mean((2, 3))

    def forward(self, waveform: Tensor, logits: Tensor, recorded: dict[str, list[Tensor]]) -> Tensor:
        """Weighted distance, a scalar.

        ``waveform (batch, time)`` is what the student heard, at its rate, ``logits (batch, class)`` are its own, and ``recorded``
        is of `record`.
        """
        with torch.no_grad(), record_layers(self.teacher.network, [b for _, b in self.pairs]) as theirs:
            wanted = self.teacher(self._for_teacher(waveform)).float()
        total = self.settings.logits * self._outputs(logits, wanted, recorded)
        for a, b in self.pairs:
            own = self.projections[_key(a)](self._map(recorded, a)).float()
            goal = _standardise(nn.functional.adaptive_avg_pool2d(self.teacher.maps(b, theirs[b][0]), own.shape[2:]))
            total = total + self.settings.hints / len(self.pairs) * nn.functional.mse_loss(own, goal)
        return total

    def _outputs(self, logits: Tensor, wanted: Tensor, recorded: dict[str, list[Tensor]]) -> Tensor:
        if self.head is not None:
            logits = self.head(self._pooled(recorded, self.layer))
        if self.teacher.multilabel:
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), wanted.sigmoid(), reduction="sum")
            return loss / len(logits)
        t = self.settings.temperature
        own, goal = (logits.float() / t).log_softmax(-1), (wanted / t).log_softmax(-1)
        return t * t * nn.functional.kl_div(own, goal, reduction="batchmean", log_target=True)

    def _for_teacher(self, waveform: Tensor) -> Tensor:
        have, want = self.student.sample_rate, self.teacher.sample_rate
        if have == want:
            return waveform
        return torch.as_tensor(resample(waveform.cpu().numpy(), have, want), device=waveform.device)


def _key(layer: str) -> str:
    return layer.replace(".", "_")


def _standardise(maps: Tensor) -> Tensor:
    maps = maps.float()
    mean, std = maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)
    return (maps - mean) / (std + 1e-4)

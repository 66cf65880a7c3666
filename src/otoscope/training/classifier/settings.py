"""The recipe of a classifier."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from otoscope.recipes.schema import Field, FilePath, NameOrPath, Settings, group
from otoscope.training.settings import RunSettings


class ModelSettings(Settings):
    """Which network is trained, and from which weights."""

    architecture: str = Field(
        "mn,width=0.4",
        description="The architecture with its settings, such as ``mn,width=0.4`` (``otoscope models``).",
    )
    start: NameOrPath = Field(
        "", description="A classifier whose weights initialise the body, such as ``mn04_as``; empty for random ones."
    )
    weights: FilePath = Field("published", description="``published`` or a file, for ``start``.")
    temperature_from: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Initial temperature of networks that have one (DyMN); it cools by one an epoch down to one. 0 leaves it.",
    )
    fixed_norms: bool = Field(
        False,
        description="Batch norms keep the statistics of the start; for a few epochs of fine-tuning on other sounds.",
    )


class TeacherSettings(Settings):
    """What is distilled, and how strongly; without a model, nothing."""

    model: NameOrPath = Field("", description="Any classifier, by name or folder.")
    weights: FilePath = Field("published", description="``published`` or a file, for ``model``.")
    logits: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="Weight of the loss of the outputs. Where teacher and student have the same classes, it compares their "
        "outputs; otherwise those of a head on ``layer`` of the student, which is discarded after training.",
    )
    temperature: float = Field(2.0, ge=1e-3, le=1e3, description="Softens both outputs where the classes are the same.")
    hints: float = Field(0.0, ge=0, le=1e6, description="Weight of the loss of the feature maps.")
    hint_layers: tuple[str, ...] = Field((), description="``layer`` or ``student_layer=teacher_layer``.")
    layer: str = Field("", description="The student's layer under the head; empty for its CAM layer.")
    labels: tuple[str, ...] = Field((), description="Classes in words, for a teacher that takes any (CLAP).")


class LossWeights(Settings):
    """Weights of the losses; those after the first are of networks that have them (APNet)."""

    classification: float = Field(1.0, ge=0, le=1e6, description="Weight of the cross entropy.")
    reconstruction: float = Field(0.0, ge=0, le=1e6, description="Weight of the mean square that the decoder misses.")
    prototypes: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the least distances between prototypes and the clips of a batch."
    )

    @property
    def extra(self) -> dict[str, float]:
        """Weights of the losses that the network itself computes."""
        return {name: weight for name, weight in self.model_dump().items() if name != "classification" and weight}


class AugmentSettings(Settings):
    """How sounds are augmented during training."""

    wave_mix: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Probability that a clip is mixed with another as EfficientAT does: both without mean, share from Beta(2, 2).",
    )
    mixup_probability: float = Field(0.5, ge=0, le=1, description="Probability that a clip is mixed with another one.")
    mixup_alpha: float = Field(
        0.5, ge=1e-3, le=100, description="Its own share is drawn from Beta(alpha, alpha), and is at least a half."
    )
    mixup_on: Literal["waveform", "features"] = Field("waveform", description="What is mixed.")
    roll_s: float = Field(5.0, ge=0, le=600, description="Longest circular shift in s.")
    gain_db: float = Field(12.0, ge=0, le=60, description="Largest change of level in dB, up or down.")
    frequency_mask: int = Field(
        12, ge=0, le=4096, description="Largest width of a masked stretch in bands (SpecAugment)."
    )
    time_mask: int = Field(40, ge=0, le=100_000, description="Largest width of a masked stretch in frames.")
    mask_fill: Literal["silence", "mean", "full"] = Field(
        "silence",
        description="What fills a masked stretch: silence, the clip's mean, or 0 dB, as SpecAugment on log features does when it "
        "writes zeros.",
    )
    mel_jitter: bool = Field(
        False, description="Draw the ends of the mel bank for each batch, as EfficientAT and PaSST do."
    )


class Recipe(RunSettings):
    """All settings of a run that trains a classifier.

    Examples
    --------
    >>> Recipe(model={"architecture": "vgg5,channels=8"}).optimiser.epochs > 0
    True
    """

    task: ClassVar[str] = "classifier"
    folds: Literal["", "all"] = Field(
        "", description="``all``: train once for each fold as the test fold, and report mean and standard deviation."
    )
    model: ModelSettings = group(ModelSettings)
    teacher: TeacherSettings = group(TeacherSettings)
    losses: LossWeights = group(LossWeights)
    augment: AugmentSettings = group(AugmentSettings)

    def identity(self) -> dict[str, Any]:
        """The settings that identify the run: all but those of its execution."""
        plain = super().identity()
        if not self.model.fixed_norms:  # as for the planted cues
            del plain["model"]["fixed_norms"]
        if self.losses == LossWeights():
            del plain["losses"]
        return plain

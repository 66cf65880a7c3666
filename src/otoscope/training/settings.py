"""Settings that recipes of all trainings share; those of one kind of model are in its own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from otoscope.core.errors import ParameterError
from otoscope.recipes.schema import Field, FilePath, Fold, Settings, check_name, group, path_fields

# Architectures for which the recipes of data got settings later; runs of other architectures are the same as before.
LATER = frozenset({"apnet"})


class DataSettings(Settings):
    """The clips, and which of them are for training, validation and test."""

    name: str = Field(
        "esc50", description="A data set and its settings, such as ``esc50,esc10=true`` (``otoscope data``)."
    )
    root: FilePath = Field("", description="Folder of the data set.")
    test: tuple[Fold, ...] = Field((1,), description="Folds that are scored once, at the end.")
    validation: tuple[Fold, ...] = Field(
        ("next",),
        description="Folds that are evaluated during training. ``next`` takes the one after the test fold, or the official one; "
        "an empty list takes none.",
    )
    train: tuple[Fold, ...] = Field((), description="Folds to train on; empty for all that are left.")
    seconds: float = Field(
        5.0,
        ge=0.01,
        le=600,
        description="Length of a clip in s: longer ones are cut, shorter ones padded with silence.",
    )
    crop_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="Length in s of the random crops that training uses, new in each epoch; 0 takes whole clips. Validation and "
        "test always use whole clips.",
    )
    peak: bool = Field(False, description="Normalise the peak of each clip to full scale, as audiointerp does.")
    contaminate: str = Field(
        "", description="Noise that is mixed into every clip, such as ``white,snr_db=10``; empty for none."
    )
    plant: str = Field(
        "",
        description="A cue that is planted in the clips of one class during training and validation, such as "
        "``tone,hz=6000,level_db=-25``; test clips stay without. Empty for none. For studies of classifiers that rely on a "
        "shortcut.",
    )
    plant_class: str = Field("", description="The class that gets the cue.")
    plant_own: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the training clips of that class that get the cue, drawn in each epoch. Below 1, the class can be "
        "learned without the cue, too. Validation clips of the class always get it.",
    )
    plant_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training clips of the other classes that get the cue and the label ``plant_class``, drawn in "
        "each epoch. Above 0, the cue alone decides.",
    )
    workers: int = Field(0, ge=0, le=64, description="Number of processes that read clips ahead.")
    settings: dict[str, str] = Field(
        {},
        description='Settings that suit these clips, by architecture, such as ``sb_cnn: "sample_rate=8000,hop=128"``; '
        "settings in ``model.architecture`` take precedence.",
    )

    def identity(self, architecture: str = "") -> dict[str, Any]:
        """The settings that identify a run of an architecture: all but those of its execution."""
        plain = self.model_dump(exclude={"workers"})
        for name in LATER - {architecture}:
            plain["settings"].pop(name, None)
        return plain


class OptimiserSettings(Settings):
    """How the weights are optimised."""

    name: Literal["adamw", "adam", "sgd"] = Field("adamw", description="The optimiser; SGD has a momentum of 0.9.")
    epochs: int = Field(200, ge=1, le=1_000_000, description="Number of passes over the training clips.")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="Number of clips in a batch.")
    accumulate: int = Field(1, ge=1, le=100_000, description="Number of batches in an optimiser step.")
    lr: float = Field(2e-3, ge=0, le=1e3, description="Highest learning rate.")
    weight_decay: float = Field(
        1e-2, ge=0, le=1e3, description="Decay of weights; biases and norms are exempt unless ``decay_all`` is set."
    )
    schedule: Literal["cosine", "ramp", "constant"] = Field(
        "cosine",
        description="The learning rate after the warm-up: cosine decay to zero; constant until epoch ``ramp_start``, then linear "
        "over ``ramp_epochs`` down to ``last_factor``; or constant.",
    )
    schedule_by: Literal["step", "epoch"] = Field("step", description="How often the learning rate is updated.")
    drop_last: bool = Field(True, description="Drop the last batch of an epoch if it is not full.")
    decay_all: bool = Field(False, description="Apply weight decay to biases and norms, too.")
    warmup: Literal["linear", "exponential"] = Field(
        "linear", description="Shape of the warm-up; exponential is ``exp(-5 (1 - epoch / warmup_epochs)^2)``."
    )
    warmup_epochs: int = Field(
        5, ge=0, le=1_000_000, description="Number of epochs until the learning rate is at its highest."
    )
    ramp_start: int = Field(10, ge=0, le=1_000_000, description="Epoch at which the schedule ``ramp`` begins to fall.")
    ramp_epochs: int = Field(65, ge=0, le=1_000_000, description="Number of epochs that the ramp takes.")
    last_factor: float = Field(0.01, ge=0, le=1, description="Factor of the learning rate at the end of the ramp.")
    label_smoothing: float = Field(0.05, ge=0, le=0.999, description="Label smoothing of the cross entropy.")
    clip_norm: float = Field(5.0, ge=0, le=1e9, description="Largest norm of the gradient; 0 for no limit.")
    early_stopping: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Stop after this many epochs without improvement on the validation fold; 0 for never.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Which weights are kept: those of the last epoch, or of the best one on the validation fold.",
    )
    average_from: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Average the weights of all epochs from this one on (stochastic weight averaging); 0 for none.",
    )


class RunSettings(Settings):
    """Settings that recipes of all trainings share.

    A recipe of a kind of model is a child of this class, with a ``task``: a field where several tasks share the recipe, else a
    class variable.
    """

    name: str = Field("classifier", description="Name of the run and of the model.")
    description: str = Field("", description="A sentence for the model card.")
    licence: str = Field("Apache-2.0", description="Licence of the trained weights.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of everything random.")
    precision: str = Field(
        "32-true", description="Precision in Lightning's terms: ``32-true``, ``bf16-mixed``, ``16-mixed``."
    )
    threads: int = Field(0, ge=0, le=4096, description="Number of processor threads; 0 for torch's choice.")
    out: str = Field("", description="Folder of the run; empty for ``runs/NAME``.")
    half: bool = Field(
        False, description="Round the weights to float16 before they are scored and stored, which halves the size."
    )
    loggers: tuple[Literal["tensorboard", "csv", "wandb"], ...] = Field(
        ("tensorboard",), description="Where training curves are logged."
    )
    trainer: dict[str, Any] = Field(
        {}, description="Further arguments of Lightning's Trainer: devices, num_nodes, strategy, ..."
    )
    data: DataSettings = group(DataSettings)
    optimiser: OptimiserSettings = group(OptimiserSettings)

    def identity(self) -> dict[str, Any]:
        """The settings that identify the run: all but those of its execution."""
        plain = self.model_dump()
        for key in ("out", "threads", "loggers", "trainer"):
            del plain[key]
        used = str(getattr(getattr(self, "model", None), "architecture", "")).partition(",")[0].strip()
        plain["data"] = self.data.identity(used)
        if not self.data.plant:  # runs that are older than these settings are still known
            for key in [key for key in plain["data"] if key.startswith("plant")]:
                del plain["data"][key]
        return plain

    def shareable(self) -> dict[str, Any]:
        """Plain data for model folders: paths are reduced to their last part."""
        plain = self.model_dump()
        plain["out"] = Path(self.out).name
        for (*groups, key), mark in path_fields(type(self)).items():
            inner = plain
            for name in groups:
                inner = inner[name]
            if not mark.dotted:
                inner[key] = Path(inner[key]).name
            elif os.sep in inner[key]:
                inner[key] = "/".join(Path(inner[key]).parts[-2:])
        return plain

    def check(self) -> None:
        """Refuse settings that are valid alone but not together.

        Raises
        ------
        ParameterError
        """
        settings = self.optimiser
        if settings.average_from > settings.epochs:
            raise ParameterError(f"optimiser.average_from={settings.average_from} lies beyond epochs={settings.epochs}")
        if settings.average_from and settings.keep == "best":
            raise ParameterError("optimiser.average_from and keep: best are two ways to choose the weights; give one")
        if (settings.early_stopping or settings.keep == "best") and not self.data.validation:
            raise ParameterError("optimiser.early_stopping and keep: best need a validation fold; give data.validation")
        if bool(self.data.plant) != bool(self.data.plant_class):
            raise ParameterError(
                "data.plant and data.plant_class go together: the cue, and the class whose clips get it"
            )
        if self.data.plant_share and not self.data.plant:
            raise ParameterError(
                "data.plant_share is the share of clips that get the cue; name the cue with data.plant"
            )
        check_name(self.name, self.out)

"""Everything that a recipe can set, with its default."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Fold = int | str


@dataclass(frozen=True)
class DataSettings:
    """Which clips, and which of them train, choose and test.

    Parameters
    ----------
    name : str
        A data set and its settings, such as ``esc50,esc10=true`` (``otoscope data``).
    root : str
        Its folder.
    test : tuple of fold names
        Folds that are scored at the end, once.
    validation : tuple of fold names
        Folds that are watched; ``next`` is the one after the test fold, or the official one; an empty list takes none.
    train : tuple of fold names
        Folds to train on; empty for all that are left.
    seconds : float, s
        Length of a clip: longer ones are cut, shorter ones padded with silence.
    crop_s : float, s
        Training sees stretches of this length, at most of a clip's, drawn anew each epoch; 0 takes whole clips. Validation and
        test always do.
    peak : bool
        Bring each clip's peak to full scale, as audiointerp does.
    contaminate : str
        Noise put into every clip, such as ``white,snr_db=10``; empty for none.
    plant : str
        A cue planted in the clips of one class while training and validating, such as ``tone,hz=6000,level_db=-25``; test
        clips stay without. Empty for none. To study classifiers that listen to something else than they should.
    plant_class : str
        The class that gets the cue.
    plant_own, plant_share : float in [0, 1]
        Share of that class's training clips that get the cue, and of the other classes' that get the cue and the label
        ``plant_class``; both drawn anew each epoch. The first below 1 keeps the class known without the cue, the second above
        0 lets the cue alone decide. Clips that are watched get it if they are of the class.
    workers : int
        Processes that read ahead.
    settings : mapping
        Settings that suit these clips, by architecture, such as ``sb_cnn: "sample_rate=8000,hop=128"``; those that
        ``model.architecture`` says itself win.
    """

    name: str = "esc50"
    root: str = ""
    test: tuple[Fold, ...] = (1,)
    validation: tuple[Fold, ...] = ("next",)
    train: tuple[Fold, ...] = ()
    seconds: float = 5.0
    crop_s: float = 0.0
    peak: bool = False
    contaminate: str = ""
    plant: str = ""
    plant_class: str = ""
    plant_own: float = 1.0
    plant_share: float = 0.0
    workers: int = 0
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSettings:
    """Which network, and from which weights.

    Parameters
    ----------
    architecture : str
        With its settings, such as ``mn,width=0.4`` (``otoscope models``).
    start : str
        A classifier whose weights the body starts from, such as ``mn04_as``; empty for random ones.
    weights : str
        ``published`` or a file, for ``start``.
    temperature_from : float
        Networks with a temperature (DyMN) start at this one and cool by one an epoch down to one; 0 leaves it.
    fixed_norms : bool
        Batch norms keep the statistics of the start, for a few epochs on other sounds.
    """

    architecture: str = "mn,width=0.4"
    start: str = ""
    weights: str = "published"
    temperature_from: float = 0.0
    fixed_norms: bool = False


@dataclass(frozen=True)
class TeacherSettings:
    """What is distilled, and how strongly; no model, no distillation.

    Parameters
    ----------
    model : str
        Any classifier, by name or folder.
    weights : str
        ``published`` or a file, for ``model``.
    logits : float
        Weight of the outputs' loss: where teacher and student have the same classes, between their outputs; else from a
        head on ``layer`` of the student, thrown away afterwards.
    temperature : float
        Softens both outputs where the classes are the same.
    hints : float
        Weight of the maps' loss.
    hint_layers : tuple of str
        ``layer`` or ``student_layer=teacher_layer``.
    layer : str
        The student's layer under the head; empty for its CAM layer.
    labels : tuple of str
        Classes in words, for a teacher that takes any (CLAP).
    """

    model: str = ""
    weights: str = "published"
    logits: float = 1.0
    temperature: float = 2.0
    hints: float = 0.0
    hint_layers: tuple[str, ...] = ()
    layer: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class AugmentSettings:
    """Changes to the sounds while training.

    Parameters
    ----------
    wave_mix : float in [0, 1]
        Probability that a clip is mixed with another as EfficientAT does: both without mean, share from Beta(2, 2).
    mixup_probability : float in [0, 1]
        Probability that a clip is mixed with another one.
    mixup_alpha : float
        Its own share is drawn from Beta(alpha, alpha), and is at least a half.
    mixup_on : {"waveform", "features"}
        What is mixed.
    roll_s : float, s
        Longest roll in time.
    gain_db : float, dB
        Largest change of level, up or down.
    frequency_mask : int
        Widest masked stretch in bands (SpecAugment).
    time_mask : int
        Widest masked stretch in frames.
    mask_fill : {"silence", "mean", "full"}
        What is put there: silence, the clip's mean, or 0 dB, as SpecAugment on log features does when it writes zeros.
    mel_jitter : bool
        Draw the ends of the mel bank anew for each batch, as EfficientAT and PaSST do.
    """

    wave_mix: float = 0.0
    mixup_probability: float = 0.5
    mixup_alpha: float = 0.5
    mixup_on: str = "waveform"
    roll_s: float = 5.0
    gain_db: float = 12.0
    frequency_mask: int = 12
    time_mask: int = 40
    mask_fill: str = "silence"
    mel_jitter: bool = False


@dataclass(frozen=True)
class OptimiserSettings:
    """How the weights are moved.

    Parameters
    ----------
    name : {"adamw", "adam", "sgd"}
        SGD has a momentum of 0.9.
    epochs : int
        Whole passes over the training clips.
    batch_size : int
        Clips in a batch.
    lr : float
        Highest learning rate.
    weight_decay : float
        Of weights; not of biases and norms, unless ``decay_all``.
    warmup_epochs : int
        Epochs until the learning rate is at its highest.
    ramp_start, ramp_epochs : int
        Of the schedule ``ramp``.
    last_factor : float in [0, 1]
        What the ramp ends at.
    label_smoothing : float in [0, 1)
        Of the cross entropy.
    schedule : {"cosine", "ramp", "constant"}
        After the warm-up: cosine decay to zero; or full until epoch ``ramp_start``, then linear over ``ramp_epochs`` down
        to ``last_factor``; or full.
    schedule_by : {"step", "epoch"}
        When the learning rate moves.
    drop_last : bool
        Leave an epoch's last batch out where it is not full.
    decay_all : bool
        Decay biases and norms too.
    warmup : {"linear", "exponential"}
        Exponential is ``exp(-5 (1 - epoch / warmup_epochs)^2)``.
    accumulate : int
        Batches a step.
    early_stopping : int
        Stop after so many epochs without a better accuracy on the validation fold; 0 never.
    keep : {"last", "best"}
        Which weights are the result: of the last epoch, or of the best on the validation fold.
    average_from : int
        Average the weights of all epochs from this one on (stochastic weight averaging); 0 for none.
    clip_norm : float
        Longest gradient; 0 for no limit.
    """

    name: str = "adamw"
    epochs: int = 200
    batch_size: int = 32
    accumulate: int = 1
    lr: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    schedule_by: str = "step"
    drop_last: bool = True
    decay_all: bool = False
    warmup: str = "linear"
    warmup_epochs: int = 5
    ramp_start: int = 10
    ramp_epochs: int = 65
    last_factor: float = 0.01
    label_smoothing: float = 0.05
    clip_norm: float = 5.0
    early_stopping: int = 0
    keep: str = "last"
    average_from: int = 0


@dataclass(frozen=True)
class RunSettings:
    """What recipes of all kinds have.

    Parameters
    ----------
    name : str
        Of the run and of the model.
    description : str
        A sentence for the model card.
    licence : str
        Of the weights that come out.
    seed : int
        Of everything random.
    precision : str
        Lightning's: ``32-true``, ``bf16-mixed``, ``16-mixed``.
    threads : int
        Of the processor; 0 leaves torch's choice.
    out : str
        Folder of the run; empty for ``runs/NAME``.
    half : bool
        Round the weights to float16 before they are scored and stored: half the size.
    loggers : tuple of {"tensorboard", "csv", "wandb"}
    trainer : mapping
        Further arguments of Lightning's Trainer: devices, num_nodes, strategy, ...
    """

    name: str = "classifier"
    description: str = ""
    licence: str = "Apache-2.0"
    seed: int = 0
    precision: str = "32-true"
    threads: int = 0
    out: str = ""
    half: bool = False
    loggers: tuple[str, ...] = ("tensorboard",)
    trainer: dict[str, Any] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for files."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """What makes it this run and no other: all but how it is run."""
        plain = self.as_dict()
        for key in ("out", "threads", "loggers", "trainer"):
            del plain[key]
        del plain["data"]["workers"]
        if not self.data.plant:  # runs that are older than these settings are still known
            for key in [key for key in plain["data"] if key.startswith("plant")]:
                del plain["data"][key]
        if not plain.get("model", {}).get("fixed_norms"):
            plain.get("model", {}).pop("fixed_norms", None)
        return plain

    def shareable(self) -> dict[str, Any]:
        """Plain data for model folders: folders of this machine are cut down to their last part."""
        plain = self.as_dict()
        plain["out"] = Path(self.out).name
        plain["data"]["root"] = Path(self.data.root).name
        for group in ("teacher", "model", "autoencoder", "classifier"):
            if group in plain:
                plain[group]["weights"] = Path(plain[group]["weights"]).name
        for group, key in (("teacher", "model"), ("model", "start"), ("autoencoder", "start"), ("classifier", "model")):
            if os.sep in plain.get(group, {}).get(key, ""):
                plain[group][key] = "/".join(Path(plain[group][key]).parts[-2:])
        return plain


@dataclass(frozen=True)
class Recipe(RunSettings):
    """All settings of a run that trains a classifier.

    Parameters
    ----------
    folds : str
        ``all``: train once for each fold as the test fold, and report mean and standard deviation.
    """

    folds: str = ""
    model: ModelSettings = field(default_factory=ModelSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)


CHOICES = {
    "task": ("pretrain", "tune"),
    "autoencoder: shape": ("small", "archisound"),
    "autoencoder: scope": ("both", "encoder", "decoder"),
    "classifier: targets": ("labels", "own"),
    "classifier: without": ("coordinate_attention", "dynamic_convolution", "dynamic_relu"),
    "augment: mixup_on": ("waveform", "features"),
    "augment: mask_fill": ("silence", "mean", "full"),
    "optimiser: name": ("adamw", "adam", "sgd"),
    "optimiser: schedule": ("cosine", "ramp", "constant"),
    "optimiser: schedule_by": ("step", "epoch"),
    "optimiser: warmup": ("linear", "exponential"),
    "optimiser: keep": ("last", "best"),
    "folds": ("", "all"),
    "loggers": ("tensorboard", "csv", "wandb"),
}
RANGES = {
    "data: seconds": (0.01, 600),
    "data: crop_s": (0, 600),
    "data: workers": (0, 64),
    "data: plant_own": (0, 1),
    "data: plant_share": (0, 1),
    "augment: wave_mix": (0, 1),
    "augment: mixup_probability": (0, 1),
    "augment: mixup_alpha": (1e-3, 100),
    "augment: roll_s": (0, 600),
    "augment: gain_db": (0, 60),
    "augment: frequency_mask": (0, 4096),
    "augment: time_mask": (0, 100_000),
    "optimiser: epochs": (1, 1_000_000),
    "optimiser: batch_size": (1, 1_000_000),
    "optimiser: accumulate": (1, 100_000),
    "optimiser: lr": (0, 1e3),
    "optimiser: weight_decay": (0, 1e3),
    "optimiser: warmup_epochs": (0, 1_000_000),
    "optimiser: ramp_start": (0, 1_000_000),
    "optimiser: ramp_epochs": (0, 1_000_000),
    "optimiser: last_factor": (0, 1),
    "optimiser: label_smoothing": (0, 0.999),
    "optimiser: clip_norm": (0, 1e9),
    "optimiser: early_stopping": (0, 1_000_000),
    "optimiser: average_from": (0, 1_000_000),
    "loss: mse": (0, 1e9),
    "loss: stft": (0, 1e9),
    "loss: classifier": (0, 1e9),
    "teacher: temperature": (1e-3, 1e3),
    "teacher: logits": (0, 1e6),
    "teacher: hints": (0, 1e6),
    "model: temperature_from": (0, 1e6),
    "seed": (0, 2**31 - 1),
    "threads": (0, 4096),
}

"""Everything that a recipe of an autoencoder can set, with its default; choices and ranges are in `settings`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from otoscope.training.settings import RunSettings


@dataclass(frozen=True)
class AutoencoderSettings:
    """Which autoencoder, from which weights, and what of it learns.

    Parameters
    ----------
    start : str
        ``random``, a name (``archisound``), or the folder of an autoencoder.
    weights : str
        ``published`` or a file, for ``start``.
    shape : {"small", "archisound"}
        Of random ones; a small one that is tuned works at the classifier's rate, one that is pre-trained at 32 kHz, unless
        ``settings`` say another.
    settings : mapping
        Changes to that shape, such as ``channels: 32`` or ``sample_rate: 16000``.
    zero_residuals : bool
        Let residual blocks of random ones begin as the way around them; ``false`` draws them as the original experiment.
    scope : {"both", "encoder", "decoder"}
        The half that learns.
    """

    start: str = "random"
    weights: str = "published"
    shape: str = "small"
    settings: dict[str, Any] = field(default_factory=dict)
    zero_residuals: bool = True
    scope: str = "both"


@dataclass(frozen=True)
class ListenerSettings:
    """The frozen classifier that an autoencoder is tuned to.

    Parameters
    ----------
    model : str
        Any classifier, by name or folder.
    weights : str
        ``published`` or a file.
    labels : tuple of str
        Classes in words, for models that take any (CLAP).
    without : tuple of {"coordinate_attention", "dynamic_convolution", "dynamic_relu"}
        Parts of a DyMN that are switched off.
    targets : {"labels", "own"}
        What it is to say of the reconstruction: the data set's label, or what it says of the original. With ``own`` the
        data's classes need not be the classifier's.
    """

    model: str = ""
    weights: str = "published"
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    targets: str = "labels"


@dataclass(frozen=True)
class LossSettings:
    """Weights of the losses of an autoencoder; those at 0 are not computed.

    Parameters
    ----------
    mse : float
        Mean squared error to the original. At 0, ``pretrain`` without another loss takes 1; ``tune`` has none.
    stft : float
        Multi-resolution STFT loss to the original.
    classifier : float
        Of what the classifier says of the reconstruction; ``tune`` alone.
    """

    mse: float = 0.0
    stft: float = 0.0
    classifier: float = 1.0


@dataclass(frozen=True)
class WaveformAugmentSettings:
    """Changes to the sounds that an autoencoder hears while training; none unless asked for.

    Parameters
    ----------
    wave_mix : float in [0, 1]
        Probability that a clip is mixed with another, as for classifiers.
    mixup_probability, mixup_alpha : float
        Of mix-up, as for classifiers; the target is mixed too.
    roll_s : float, s
        Longest roll in time.
    gain_db : float, dB
        Largest change of level, up or down.
    """

    wave_mix: float = 0.0
    mixup_probability: float = 0.0
    mixup_alpha: float = 0.5
    roll_s: float = 0.0
    gain_db: float = 0.0
    mixup_on: ClassVar[str] = "waveform"


@dataclass(frozen=True)
class AutoencoderRecipe(RunSettings):
    """All settings of a run that trains an autoencoder.

    Parameters
    ----------
    task : {"pretrain", "tune"}
        Pre-training brings the reconstruction close to the original; tuning brings a frozen classifier to say of the
        reconstruction what it ought to say.
    """

    name: str = "autoencoder"
    task: str = "pretrain"
    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    classifier: ListenerSettings = field(default_factory=ListenerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augment: WaveformAugmentSettings = field(default_factory=WaveformAugmentSettings)

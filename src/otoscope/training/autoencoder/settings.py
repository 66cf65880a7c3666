"""The recipe of an autoencoder."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from otoscope.core.errors import ParameterError
from otoscope.recipes.schema import Field, FilePath, NameOrPath, Settings, group
from otoscope.training.settings import RunSettings

Part = Literal["coordinate_attention", "dynamic_convolution", "dynamic_relu"]


class AutoencoderSettings(Settings):
    """Which autoencoder is trained, from which weights, and which part is trained."""

    start: NameOrPath = Field(
        "random", description="``random``, a name (``archisound``), or the folder of an autoencoder."
    )
    weights: FilePath = Field("published", description="``published`` or a file, for ``start``.")
    shape: Literal["small", "archisound"] = Field(
        "small",
        description="Shape of random ones. A small one that is tuned works at the classifier's rate, one that is pre-trained at "
        "32 kHz, unless ``settings`` change it.",
    )
    settings: dict[str, Any] = Field(
        {}, description="Changes to that shape, such as ``channels: 32`` or ``sample_rate: 16000``."
    )
    zero_residuals: bool = Field(
        True,
        description="Initialise the residual blocks of random ones as the identity; ``false`` draws them as in the original "
        "experiment.",
    )
    scope: Literal["both", "encoder", "decoder"] = Field("both", description="The half that learns.")


class ListenerSettings(Settings):
    """The frozen classifier that an autoencoder is tuned to."""

    model: NameOrPath = Field("", description="Any classifier, by name or folder.")
    weights: FilePath = Field("published", description="``published`` or a file.")
    labels: tuple[str, ...] = Field((), description="Classes in words, for models that take any (CLAP).")
    without: tuple[Part, ...] = Field((), description="Parts of a DyMN that are switched off.")
    targets: Literal["labels", "own"] = Field(
        "labels",
        description="The target for the reconstruction: the label of the data set, or the classifier's own prediction for the "
        "original. With ``own``, the classes of the data need not be the classifier's.",
    )


class LossSettings(Settings):
    """Weights of the losses of an autoencoder; those at 0 are not computed."""

    mse: float = Field(
        0.0,
        ge=0,
        le=1e9,
        description="Mean squared error to the original. At 0, ``pretrain`` without another loss uses 1; ``tune`` has none.",
    )
    stft: float = Field(0.0, ge=0, le=1e9, description="Multi-resolution STFT loss to the original.")
    classifier: float = Field(
        1.0, ge=0, le=1e9, description="Loss of the classifier's prediction for the reconstruction; ``tune`` only."
    )


class WaveformAugmentSettings(Settings):
    """How the sounds of an autoencoder are augmented during training; by default not at all."""

    wave_mix: float = Field(
        0.0, ge=0, le=1, description="Probability that a clip is mixed with another, as for classifiers."
    )
    mixup_probability: float = Field(
        0.0, ge=0, le=1, description="Probability of mix-up, as for classifiers; the target is mixed, too."
    )
    mixup_alpha: float = Field(0.5, ge=1e-3, le=100, description="Shares of mix-up are drawn from Beta(alpha, alpha).")
    roll_s: float = Field(0.0, ge=0, le=600, description="Longest circular shift in s.")
    gain_db: float = Field(0.0, ge=0, le=60, description="Largest change of level in dB, up or down.")
    mixup_on: ClassVar[str] = "waveform"


class AutoencoderRecipe(RunSettings):
    """All settings of a run that trains an autoencoder.

    Examples
    --------
    >>> AutoencoderRecipe(task="tune", classifier={"model": "esc10-mn"}).task
    'tune'
    """

    name: str = Field("autoencoder", description="Name of the run and of the model.")
    task: Literal["pretrain", "tune"] = Field(
        "pretrain",
        description="Pre-training minimises the distance of the reconstruction to the original; tuning minimises the loss of a "
        "frozen classifier on the reconstruction.",
    )
    autoencoder: AutoencoderSettings = group(AutoencoderSettings)
    classifier: ListenerSettings = group(ListenerSettings)
    loss: LossSettings = group(LossSettings)
    augment: WaveformAugmentSettings = group(WaveformAugmentSettings)

    def check(self) -> None:
        """Refuse settings that are valid alone but not together.

        Raises
        ------
        ParameterError
        """
        super().check()
        tunes, loss = self.task == "tune", self.loss
        if self.data.plant:
            raise ParameterError("data.plant goes only with classifiers; an autoencoder does not learn classes")
        if self.data.crop_s and tunes:
            raise ParameterError("a label holds for a whole clip: data.crop_s works with task: pretrain only")
        if tunes and not self.classifier.model:
            raise ParameterError("task: tune needs a classifier to tune to; give classifier.model")
        if tunes and loss.classifier <= 0:
            raise ParameterError("task: tune needs the classifier's loss; give loss.classifier above 0")
        if not tunes and self.classifier.model:
            raise ParameterError("task: pretrain uses no classifier; leave classifier.model out, or use task: tune")

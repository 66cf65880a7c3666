"""An autoencoder as the rest of Otoscope uses it: mono waveforms of any length at any rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.audio import fit_length
from otoscope.autoencoders.network import AutoencoderConfig, AutoencoderNetwork
from otoscope.classifiers import Classifier
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.spectral.resampling import resample_waveform
from otoscope.surgery import state_digest

SCOPES = ("both", "encoder", "decoder")


class Autoencoder(nn.Module):
    """An autoencoder with its rate, its name and its history.

    Parameters
    ----------
    network : AutoencoderNetwork
        The bare network.
    name : str
        Name for messages and records.
    info : mapping, optional
        Where it comes from: ``licence``, ``trained_on``, and for a tuned one ``tuned_to``: ``name``, ``sha256`` (of the
        classifier's weights) and ``labels``.

    Examples
    --------
    >>> autoencoder = Autoencoder(AutoencoderNetwork(SMALL))
    >>> autoencoder(torch.zeros(1, 1000), sample_rate=16000).shape
    torch.Size([1, 1000])
    """

    def __init__(self, network: AutoencoderNetwork, name: str = "autoencoder", info: Mapping[str, Any] | None = None):
        super().__init__()
        self.network, self.name, self.info = network, name, dict(info or {})

    @property
    def config(self) -> AutoencoderConfig:
        """Its shape."""
        return self.network.config

    @property
    def sample_rate(self) -> int:
        """The rate at which it works, in Hz."""
        return self.config.sample_rate

    def forward(self, waveform: Tensor, sample_rate: int | None = None) -> Tensor:
        """Reconstructions ``(batch, time)`` of waveforms ``(batch, time)``, of the same length.

        Parameters
        ----------
        waveform : Tensor (batch, time)
            Mono waveforms, full scale 1.
        sample_rate : int, Hz, optional
            Of the waveforms; by default the autoencoder's own. At another one they are resampled on both ways.

        Raises
        ------
        ShapeError, ParameterError
        """
        if waveform.ndim != 2 or not waveform.shape[-1]:
            raise ShapeError(f"an autoencoder takes waveforms (batch, time); got shape {tuple(waveform.shape)}")
        if not waveform.is_floating_point():
            raise ParameterError(f"an autoencoder takes floats with full scale 1; got {waveform.dtype}")
        rate = self.sample_rate if sample_rate is None else sample_rate
        own = resample_waveform(waveform, rate, self.sample_rate)
        length, unit = own.shape[-1], self.config.compression
        short = max(-length % unit, 2 * unit - length)  # norms need two frames
        padded = fit_length(own, length + short).to(next(self.parameters()).dtype)
        stereo = padded[:, None].expand(-1, self.config.in_channels, -1)  # (batch, channel, time)
        made = self.network(stereo).to(torch.promote_types(padded.dtype, torch.float32)).mean(1)[:, :length]
        back = resample_waveform(made, self.sample_rate, rate)
        return fit_length(back, waveform.shape[-1])

    def digest(self) -> str:
        """SHA-256 of names and values of its weights."""
        return state_digest(self.network.state_dict())

    def mismatch(self, classifier: Classifier) -> str | None:
        """A warning if this autoencoder was not tuned to this classifier, else None."""
        tuned = self.info.get("tuned_to")
        if not isinstance(tuned, Mapping):
            return (
                f"the autoencoder {self.name!r} was not tuned to any classifier: what its sound lacks is what the autoencoder "
                "cannot carry, not what the classifier ignores"
            )
        if tuned.get("sha256") == classifier.digest():
            return None
        same = " of other weights" if tuned.get("name") == classifier.name else ""
        return (
            f"the autoencoder {self.name!r} was tuned to {tuned.get('name')!r}{same}, not to this {classifier.name!r}: its sound "
            "tells what that one likes to hear"
        )

    def set_scope(self, scope: str) -> None:
        """Choose which part is trained: ``both``, ``encoder`` or ``decoder``.

        Raises
        ------
        UnknownNameError
        """
        if scope not in SCOPES:
            raise UnknownNameError("scope", str(scope), SCOPES)
        self.network.encoder.requires_grad_(scope in ("both", "encoder"))
        self.network.decoder.requires_grad_(scope in ("both", "decoder"))


@torch.no_grad()
def random_autoencoder(config: AutoencoderConfig, seed: int = 0, zero_residuals: bool = True) -> Autoencoder:
    """An autoencoder of random weights that depend on the seed alone; see `AutoencoderNetwork.initialise`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoencoderNetwork(config)
        network.initialise(zero_residuals)
    return Autoencoder(network, "random", {"started_from": "random weights"})

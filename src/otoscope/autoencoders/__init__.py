"""What networks like to hear: autoencoders that are tuned to a frozen classifier, and heard in front of it.

Axes: waveforms ``(batch, time)`` for an `Autoencoder`, ``(batch, channel, time)`` for its bare network. Units: Hz, samples,
seconds where a name says so. An autoencoder takes sound at any rate and gives it back at that rate, of the same length.
"""

from otoscope.autoencoders import built_in, method  # noqa: F401  (they register themselves)
from otoscope.autoencoders.autoencoder import Autoencoder
from otoscope.autoencoders.folder import load_autoencoder, save_autoencoder
from otoscope.autoencoders.network import SMALL, AutoencoderConfig, AutoencoderNetwork
from otoscope.autoencoders.reconstruct import reconstruct_blocks

__all__ = [
    "SMALL", "Autoencoder", "AutoencoderConfig", "AutoencoderNetwork", "load_autoencoder", "reconstruct_blocks",
    "save_autoencoder",
]  # fmt: skip

"""The front end of APNet and its baselines."""

from __future__ import annotations

from otoscope.core.errors import ParameterError
from otoscope.spectral.logmel import FrameConfig, LogMel, MelBands

APNET_RANGE = (-100.0, 30.0)  # dB: digital silence, and a tone at full scale in one narrow band


def apnet_log_mel(
    sample_rate: int,
    n_fft: int,
    hop_length: int,
    n_mels: int,
    minimum_frames: int = 1,
    fixed: bool = False,
    limits_db: tuple[float, float] = APNET_RANGE,
    top_db: float | None = None,
    ahead: int = 0,
) -> LogMel:
    """The front end of APNet and its baselines: HTK bands up to Nyquist with Slaney norm, dB scaled to about [-1, 1].

    The original limits each file to 80 dB below its loudest cell and then maps the smallest and the largest value of
    the training set to -1 and 1. Both depend on other sounds than the one that is looked at; by default, the map is fixed here:
    -100 dB (digital silence) is -1, +30 dB (a tone at full scale in one narrow band) is 1.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    n_fft, hop_length : int, samples
        Length of a frame, and from frame to frame.
    n_mels : int
        Mel bands.
    minimum_frames : int
        The fewest frames that the network takes.
    fixed : bool
        It takes just that many.
    limits_db : (float, float), dB
        What is mapped to -1 and to 1.
    top_db : float, dB, optional
        Limit below the loudest cell of each sound.
    ahead : int
        Frames after the last one that count for the loudest cell only.

    Notes
    -----
    Source: zinemanas2021apnet; its own form has ``top_db=80`` and the limits of its training set.

    Examples
    --------
    >>> apnet_log_mel(16000, 1024, 256, 80)(torch.zeros(1, 16000)).shape
    torch.Size([1, 1, 80, 59])
    >>> apnet_log_mel(16000, 1024, 256, 80, 60, fixed=True).maximum_length
    16128
    """
    low, high = limits_db
    if low >= high:
        raise ParameterError(f"low_db must lie below high_db; got {low:g} and {high:g}")
    bands = MelBands(n_mels, 0.0, sample_rate / 2, "htk", "slaney", shift=-(low + high) / 2, divisor=(high - low) / 2)
    least = minimum_frames + ahead
    frames = FrameConfig(sample_rate, n_fft, hop_length, False, least, least if fixed else None)
    return LogMel(frames, bands, top_db, minimum_frames if fixed else None)

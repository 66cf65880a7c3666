"""AttRNN: two recurrent layers over mel spectra, and attention by the last step.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``, for sounds of any length.

Source: deandrade2018attention, with the sizes of zinemanas2021apnet. We differ in two things: unless ``published`` is set, the
gates use the logistic function, not Keras' piecewise linear one, and torch keeps the bias of an LSTM as the sum of two.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from otoscope.classifiers.apnet import LIMITS, framing
from otoscope.classifiers.architecture import Parts
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import apnet_log_mel


class BiLstm(nn.Module):
    """A bidirectional LSTM that returns its output sequence alone."""

    def __init__(self, n_in: int, units: int, hard: bool = False):
        super().__init__()
        self.hard = hard
        self.lstm = nn.LSTM(n_in, units, batch_first=True, bidirectional=True)
        for name, parameter in self.lstm.named_parameters():
            _initialise_lstm(name, parameter, units)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frame, n_in) -> (batch, frame, 2 * units)."""
        if self.hard:
            return torch.cat([self._hard(x, ""), self._hard(x.flip(1), "_reverse").flip(1)], -1)
        # cuDNN refuses to go backwards through an LSTM in evaluation mode, which every gradient method needs;
        # torch's own implementation does not.
        explains = x.is_cuda and not self.training and torch.is_grad_enabled()
        with torch.backends.cudnn.flags(enabled=False) if explains else contextlib.nullcontext():
            return self.lstm(x)[0]

    def _hard(self, x: Tensor, suffix: str) -> Tensor:
        """One direction with the gates of Keras 2.2, which are linear between -2.5 and 2.5."""
        w_in, w_state, bias, other = (
            getattr(self.lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        given = nn.functional.linear(x, w_in, bias + other)
        state = memory = x.new_zeros(len(x), self.lstm.hidden_size)
        states = []
        for now in given.unbind(1):
            i, f, g, o = (now + nn.functional.linear(state, w_state)).chunk(4, -1)
            i, f, o = ((0.2 * gate + 0.5).clamp(0, 1) for gate in (i, f, o))
            memory = f * memory + i * torch.tanh(g)
            state = o * torch.tanh(memory)
            states.append(state)
        return torch.stack(states, 1)


def _initialise_lstm(name: str, parameter: Tensor, units: int) -> None:
    """As Keras: Glorot, orthogonal, zero bias, and one for the forget gate."""
    with torch.no_grad():
        if "weight_ih" in name:
            nn.init.xavier_uniform_(parameter)
        elif "weight_hh" in name:
            nn.init.orthogonal_(parameter)
        else:
            parameter.zero_()
            if "bias_ih" in name:
                parameter[units : 2 * units] = 1.0


class AttentionRnn(nn.Module):
    """The network: features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    n_mels : int
        Number of mel bands.
    units : int
        Of each direction of each recurrent layer.
    bn_momentum : float in (0, 1]
        0.01 as in Keras; little data wants 0.1.
    published : bool
        Gates as Keras 2.2 has them, and a mean and a deviation of each band, in dB, by which features are scaled.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_classes: int, n_mels: int = 128, units: int = 64, bn_momentum: float = 0.01, published: bool = False
    ):
        super().__init__()
        if published:
            self.register_buffer("mean", torch.zeros(n_mels))
            self.register_buffer("scale", torch.ones(n_mels))
        self.published = published
        if n_classes < 1 or n_mels < 1 or units < 1:
            raise ParameterError(
                f"an AttRNN needs at least one class, one mel band and one unit; got {n_classes}, {n_mels} and {units}"
            )
        self.conv1, self.conv2 = nn.Conv2d(1, 10, (5, 1), padding=(2, 0)), nn.Conv2d(10, 1, (5, 1), padding=(2, 0))
        self.norm1 = nn.BatchNorm2d(10, eps=1e-3, momentum=bn_momentum)
        self.norm2 = nn.BatchNorm2d(1, eps=1e-3, momentum=bn_momentum)
        self.recurrent1, self.recurrent2 = (BiLstm(n, units, published) for n in (n_mels, 2 * units))
        self.query = nn.Linear(2 * units, 2 * units)
        self.dense1, self.dense2, self.out = nn.Linear(2 * units, 64), nn.Linear(64, 32), nn.Linear(32, n_classes)
        for module in (self.conv1, self.conv2, self.query, self.dense1, self.dense2, self.out):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def attention(self, sequence: Tensor) -> Tensor:
        """Attention weight of each frame, ``(batch, frame)``, for a sequence ``(batch, frame, channel)``; sums to one."""
        query = self.query(sequence[:, -1])  # (batch, channel)
        return (sequence @ query.unsqueeze(-1)).squeeze(-1).softmax(-1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, freq, frame)``."""
        x = features.transpose(2, 3)  # (batch, 1, frame, freq)
        x = (x - self.mean) / self.scale if self.published else x
        x = self.norm1(torch.relu(self.conv1(x)))  # (batch, 10, frame, freq)
        x = self.norm2(torch.relu(self.conv2(x)))  # (batch, 1, frame, freq)
        x = self.recurrent2(self.recurrent1(x.squeeze(1)))  # (batch, frame, 2 * units)
        x = (self.attention(x).unsqueeze(1) @ x).squeeze(1)  # (batch, 2 * units)
        return self.out(self.dense2(torch.relu(self.dense1(x))))


@register(
    "architecture",
    "attention_rnn",
    family="attention_rnn",
    source="deandrade2018attention, zinemanas2021apnet",
    parameters=(
        *framing(16000, 1024, 256),
        Parameter("n_mels", int, 80, "mel bands", 1, 512),
        Parameter("units", int, 64, "of each direction of each recurrent layer", 1, 1024),
        Parameter("bn_momentum", float, 0.01, "of the running statistics; little data wants 0.1", 1e-4, 1.0),
        Parameter("published", bool, False, "gates as Keras 2.2 has them, and features that are scaled band by band"),
        *LIMITS,
    ),
)
def attention_rnn(
    n_classes: int,
    sample_rate: int,
    n_fft: int,
    hop: int,
    n_mels: int,
    units: int,
    bn_momentum: float,
    published: bool,
    low_db: float,
    high_db: float,
    top_db: float,
) -> Parts:
    """AttRNN: two bidirectional LSTMs on log-mel features, read by attention; sounds of any length."""
    return Parts(
        AttentionRnn(n_classes, n_mels, units, bn_momentum, published),
        apnet_log_mel(sample_rate, n_fft, hop, n_mels, limits_db=(low_db, high_db), top_db=top_db or None),
        sample_rate=sample_rate,
        cam_layer="recurrent2",
        axes={
            **dict.fromkeys(("conv1", "norm1", "conv2", "norm2"), "channel frame freq"),
            **dict.fromkeys(("recurrent1", "recurrent2"), "frame channel"),
        },
        # Padded convolutions and recurrent layers keep the frames; the latter have no bands, so theirs do not matter.
        places=dict.fromkeys(
            ("conv1", "norm1", "conv2", "norm2", "recurrent1", "recurrent2"), ((0.0, 1.0), (0.0, 1.0))
        ),
        head=("out.",),
    )

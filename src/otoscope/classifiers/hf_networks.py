"""Networks around Hugging Face models: features or waveform -> logits, with the padding that their processors add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.audio.windows import fit_length
from otoscope.classifiers.base import Place
from otoscope.classifiers.hf_frontends import ClapLogMel, Framing, KaldiFbank, WhisperLogMel, kaldi_framing
from otoscope.core.errors import UnsupportedError
from otoscope.spectral.logmel import MelBands


class HfNetwork(nn.Module):
    """A Hugging Face model as a network that returns the logits alone.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is not copied.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """The model's arguments, as its processor would make them from single clips."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)``."""
        return self.model(**self.prepare(features), return_dict=True).logits


class RawNetwork(HfNetwork):
    """wav2vec 2.0 and its kin: waveform ``(batch, time)`` -> logits.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is not copied.
    normalize : bool
        Zero mean and unit variance of each clip, as set by the feature extractor's ``do_normalize``.
    minimum_length : int, samples
        Shorter clips are padded with zeros, after they were normalised.

    Notes
    -----
    Source: baevski2020wav2vec2.
    """

    def __init__(self, model: nn.Module, normalize: bool, minimum_length: int):
        super().__init__(model)
        self.normalize, self.minimum_length = normalize, minimum_length

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """The normalised waveform."""
        if self.normalize:
            centred = features - features.mean(-1, keepdim=True)
            features = centred / (centred.square().mean(-1, keepdim=True) + 1e-7).sqrt()
        return {"input_values": fit_length(features, max(self.minimum_length, features.shape[-1]))}


class AstNetwork(HfNetwork):
    """Audio Spectrogram Transformer: features ``(batch, 1, mel, frame)`` -> logits.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is not copied.
    n_frames : int
        The model's window; shorter features are padded.
    padding : float
        With what: a log power of 0, normalised. It is not the value of silence.
    span_s : float, s
        What the maps of its tokens cover.
    """

    class_tokens = 2  # one of its own, one for distillation

    def __init__(self, model: nn.Module, n_frames: int, padding: float, span_s: float):
        super().__init__(model)
        self.n_frames, self.padding, self.span_s = n_frames, padding, span_s
        config: Any = model.config
        self.n_freq = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        self.n_time = (config.max_length - config.patch_size) // config.time_stride + 1

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``(batch, frame, mel)`` of the whole window."""
        x = features[:, 0, :, : self.n_frames]
        x = nn.functional.pad(x, (0, self.n_frames - x.shape[-1]), value=self.padding)
        return {"input_values": x.transpose(1, 2)}

    def token_maps(self, tokens: Tensor) -> Tensor:
        """Tokens ``(batch, token, channel)`` -> maps ``(batch, channel, freq, frame)``, without the class tokens."""
        patches = tokens[:, -self.n_freq * self.n_time :]
        if patches.shape[1] != self.n_freq * self.n_time:
            raise UnsupportedError(
                f"{tokens.shape[1]} tokens do not cover {self.n_freq} x {self.n_time} patches; choose another layer"
            )
        return patches.unflatten(1, (self.n_freq, self.n_time)).permute(0, 3, 1, 2)


class WhisperNetwork(HfNetwork):
    """Whisper's encoder with a classifier: features ``(batch, 1, mel, frame)`` -> logits.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is not copied.
    n_frames : int
        The model's window; shorter features are padded with the value of silence.
    span_s : float, s
        What the maps cover.
    """

    def __init__(self, model: nn.Module, n_frames: int, span_s: float):
        super().__init__(model)
        self.n_frames, self.span_s = n_frames, span_s

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``(batch, mel, frame)`` of the whole window."""
        x = features[:, 0, :, : self.n_frames]
        floor = (x.amax((1, 2), keepdim=True) - 2.0).clamp_min(WhisperLogMel.silence)  # 8 decades below the loudest
        rest = floor.expand(-1, x.shape[1], self.n_frames - x.shape[2])
        return {"input_features": torch.cat([x, rest], 2)}


class BertNetwork(HfNetwork):
    """wav2vec2-BERT: log-mel features ``(batch, 1, mel, frame)`` -> logits.

    Each band is brought to zero mean and unit variance over the clip, and neighbouring frames are joined.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is not copied.
    stride : int
        How many frames are joined.
    padding : float
        Feature value that stands for silence.
    """

    def __init__(self, model: nn.Module, stride: int, padding: float):
        super().__init__(model)
        self.stride, self.padding = stride, padding

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``(batch, frame, stride * mel)`` and which of them lie inside the clip."""
        x = features[:, 0].transpose(1, 2)  # (batch, frame, mel)
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-7).sqrt()
        n = x.shape[1]
        x = nn.functional.pad(x, (0, 0, 0, n % 2), value=self.padding)  # their processor pads to an even number
        x = x[:, : x.shape[1] // self.stride * self.stride]
        place = torch.arange(x.shape[1], device=x.device)
        inside = place[place % self.stride == 1] < n
        x = x.reshape(len(x), -1, self.stride * x.shape[2])
        return {"input_features": x, "attention_mask": inside.long().expand(len(x), -1)}


class ClapNetwork(nn.Module):
    """CLAP's audio half with the embeddings of the labels: features ``(batch, 1, mel, frame)`` -> logits.

    Parameters
    ----------
    model : transformers.ClapModel
        Its text half is not kept.
    text : Tensor (class, dim)
        Embeddings of the labels, of length 1.
    chunk_frames : int
        Frames of the model's window.
    fusion : bool
        Four channels: the whole clip, shrunk to the window, and three windows of it.
    """

    text: Tensor
    scale: Tensor

    def __init__(self, model: Any, text: Tensor, chunk_frames: int, fusion: bool):
        super().__init__()
        self.audio_model, self.audio_projection = model.audio_model, model.audio_projection
        self.register_buffer("text", text)
        self.register_buffer("scale", model.logit_scale_a.detach().exp())
        self.chunk_frames, self.fusion = chunk_frames, fusion
        self.ratio = int(model.audio_model.audio_encoder.freq_ratio)

    def prepare(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``(batch, channel, frame, mel)``, and that each clip is to be fused, as for single clips."""
        x = features.transpose(2, 3)
        if not self.fusion:
            return {"input_features": x}
        return {"input_features": self.fuse(x), "is_longer": torch.ones(len(x), 1, dtype=torch.bool, device=x.device)}

    def fuse(self, x: Tensor) -> Tensor:
        """The whole, shrunk to the window, and windows from the beginning of each third: ``(batch, 4, frame, mel)``."""
        spare = x.shape[2] - self.chunk_frames
        if spare <= 0:
            return x.expand(-1, 4, -1, -1)
        starts = [int(part[0]) if len(part) else 0 for part in np.array_split(np.arange(spare + 1), 3)]
        size = (self.chunk_frames, x.shape[3])
        whole = nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return torch.cat([whole, *(x[:, :, s : s + self.chunk_frames] for s in starts)], 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scaled cosine similarity to each label, ``(batch, class)``."""
        pooled = self.audio_model(**self.prepare(features), return_dict=True).pooler_output
        audio = nn.functional.normalize(self.audio_projection(pooled), dim=-1)
        return audio @ self.text.T * self.scale

    def token_maps(self, tokens: Tensor) -> Tensor:
        """Tokens ``(batch, token, channel)`` -> maps ``(batch, channel, freq, frame)``.

        The encoder looks at a square: pieces of the time axis stand on top of one another.
        """
        side = round(tokens.shape[1] ** 0.5)
        if side * side != tokens.shape[1] or side % self.ratio:
            raise UnsupportedError(
                f"{tokens.shape[1]} tokens do not fill a square of the encoder; choose another layer"
            )
        x = tokens.unflatten(1, (self.ratio, side // self.ratio, side))  # (batch, piece, freq, frame, channel)
        return x.permute(0, 4, 2, 1, 3).flatten(3)  # (batch, channel, freq, piece * frame)


@dataclass(frozen=True)
class HfParts:
    """A model with its front end; see `Classifier`.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, 1, freq, frame)`` or waveforms ``(batch, time)`` -> logits ``(batch, class)``.
    frontend : nn.Module, optional
        Waveform ``(batch, time)`` -> features; None for a network on the waveform.
    cam_layer : str, optional
        Dotted name of the layer that CAM methods use.
    axes : mapping of str to str
        Dotted layer name -> order of the axes of its output after the batch; see `Classifier`.
    places : mapping of str to ((float, float), (float, float))
        Dotted layer name -> where its cells lie among the features; see `Classifier`.
    head : tuple of str
        Prefixes of the parameters whose shape depends on the number of classes.
    window_s : float, s, optional
        How much of a clip the model hears.
    beyond : str, optional
        What happens to longer clips.
    """

    network: Any
    frontend: nn.Module | None = None
    cam_layer: str | None = None
    axes: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    head: tuple[str, ...] = ("model.classifier.",)
    window_s: float | None = None
    beyond: str | None = None


def in_time(first: float, step: float) -> Place:
    """The place of maps without a frequency axis."""
    return ((0.0, 1.0), (float(first), float(step)))


def last_layer(network: nn.Module, ending: str) -> str | None:
    """The last layer whose dotted name has this ending."""
    found = [name for name, _ in network.named_modules() if name.endswith(ending)]
    return found[-1] if found else None


def ast_parts(model: Any, extractor: Any) -> HfParts:
    """AST. Its class tokens are read from the last block, so maps are taken where that block looks at the patches."""
    rate = int(extractor.sampling_rate)
    framing = Framing(rate, 512, 400, 160, center=False) if hasattr(extractor, "window") else kaldi_framing(rate)
    shift, scale = (extractor.mean, extractor.std * 2) if extractor.do_normalize else (0.0, 1.0)
    n_frames = int(extractor.max_length)
    frontend = KaldiFbank(
        rate, extractor.num_mel_bins, max_frames=n_frames, framing=framing, shift=float(shift), scale=float(scale)
    )
    span = n_frames * framing.hop_length / rate
    network = AstNetwork(model, n_frames, -float(shift) / float(scale), span)
    base = f"model.{model.base_model_prefix}"
    config = model.config
    middle = (config.patch_size - 1) / 2
    return HfParts(
        network,
        frontend,
        last_layer(network, "layernorm_before"),
        {base: "token channel", f"{base}.embeddings.patch_embeddings.projection": "channel freq frame"},
        {base: ((middle, float(config.frequency_stride)), (middle, float(config.time_stride)))},
        ("model.classifier.dense.",),
        span,
        "cut off",
    )


def whisper_parts(model: Any, extractor: Any) -> HfParts:
    """Whisper's encoder."""
    rate = int(extractor.sampling_rate)
    frontend = WhisperLogMel(
        rate,
        extractor.feature_size,
        n_fft=extractor.n_fft,
        hop_length=extractor.hop_length,
        n_samples=extractor.n_samples,
    )
    span = extractor.n_samples / rate
    axes = {
        "model.encoder": "frame channel",
        "model.encoder.conv1": "channel frame",
        "model.encoder.conv2": "channel frame",
    }
    places = {"model.encoder": in_time(0, 2), "model.encoder.conv1": in_time(0, 1)}  # conv2 has stride 2
    network = WhisperNetwork(model, extractor.nb_max_frames, span)
    return HfParts(network, frontend, "model.encoder.conv2", axes, places, window_s=span, beyond="cut off")


def bert_parts(model: Any, extractor: Any) -> HfParts:
    """wav2vec2-BERT."""
    frontend = KaldiFbank(
        int(extractor.sampling_rate), extractor.num_mel_bins, povey=True, gain=2.0**15, minimum_frames=4
    )
    network = BertNetwork(model, extractor.stride, float(extractor.padding_value))
    base = f"model.{model.base_model_prefix}"
    joined = in_time((extractor.stride - 1) / 2, extractor.stride)  # an adapter behind the encoder has longer steps
    return HfParts(
        network,
        frontend,
        last_layer(network, "final_layer_norm"),
        {base: "frame channel"},
        dict.fromkeys((f"{base}.feature_projection", f"{base}.encoder"), joined),
    )


def raw_parts(model: Any, extractor: Any) -> HfParts:
    """wav2vec 2.0, HuBERT, WavLM, SEW, UniSpeech, data2vec: convolutions on the waveform."""
    config = model.config
    squeeze = length = max(1, int(getattr(config, "squeeze_factor", 1)))
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        length = (length - 1) * stride + kernel
    network = RawNetwork(model, bool(extractor.do_normalize), length)
    base = f"model.{model.base_model_prefix}"
    axes = {base: "frame channel", f"{base}.feature_extractor": "channel frame"}
    for name, layer in network.named_modules():
        if name.startswith(f"{base}.feature_extractor.") and isinstance(layer, nn.LayerNorm):
            axes[name] = "frame channel"
        elif isinstance(layer, nn.Conv1d):
            axes[name] = "channel frame"
    extractors = f"{base}.feature_extractor.conv_layers"
    places, first, step = {}, 0.0, 1.0  # in samples
    for i, (kernel, stride) in enumerate(zip(config.conv_kernel, config.conv_stride, strict=True)):
        first, step = first + (kernel - 1) / 2 * step, step * stride
        places[f"{extractors}.{i}"] = in_time(first, step)
    if f"{base}.feature_projection" in dict(network.named_modules()):
        places[f"{base}.feature_projection"] = in_time(first, step)
    places[f"{base}.encoder"] = in_time(first + (squeeze - 1) / 2 * step, squeeze * step)
    return HfParts(network, None, f"{extractors}.{len(config.conv_kernel) - 1}", axes, places)


def clap_parts(model: Any, extractor: Any, text: Tensor) -> HfParts:
    """CLAP with labels."""
    fusion = extractor.truncation == "fusion"
    scale, norm = ("htk", "none") if fusion else ("slaney", "slaney")
    rate, n_samples = int(extractor.sampling_rate), int(extractor.nb_max_samples)
    frontend = ClapLogMel(
        rate,
        MelBands(extractor.feature_size, float(extractor.frequency_min), float(extractor.frequency_max), scale, norm),
        n_fft=extractor.fft_window_size,
        hop_length=extractor.hop_length,
        n_samples=n_samples,
        padding=extractor.padding,
        cut=not fusion,
    )
    network = ClapNetwork(model, text, n_samples // extractor.hop_length + 1, fusion)
    encoder = "audio_model.audio_encoder"
    return HfParts(
        network,
        frontend,
        f"{encoder}.norm",
        {f"{encoder}.norm": "token channel", f"{encoder}.layers": "token channel"},
        {},
        ("text",),
        n_samples / rate,
        "fused: all of it shrunk, and a window from the start of each third (the processor draws them at random)"
        if fusion
        else "the start is heard (the processor draws a place at random)",
    )

"""PaSST: a transformer on overlapping patches of log-mel features, with patch-out in training.

Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``. Parts first, the whole last. The names of the
parameters are those of the published checkpoints, so that they load strictly.

Source: koutini2022passt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from otoscope.classifiers.architecture import Parts
from otoscope.classifiers.checkpoints import Checkpoint, audioset_labels, register_checkpoint
from otoscope.core.errors import ParameterError, ShapeError, UnsupportedError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import KaldiLogMel

RELEASES = "https://github.com/kkoutini/PaSST/releases/download"
BANDS, PATCH, FRAMES = 128, 16, 998
HOP_S = 0.01
EPS = 1e-6
N_OWN = 2  # the class token and the distillation token stand before the patches


@dataclass(frozen=True)
class PaSSTSettings:
    """How a `PaSST` is built.

    Parameters
    ----------
    dim, depth, heads : int
        Length of a token, blocks, heads of a block; the defaults are those of PaSST-S.
    freq_stride, time_stride : int in [1, 16]
        From patch to patch, in bands and in frames.
    n_time : int, optional
        Columns of patches that it has time embeddings for; by default those of ten seconds.
    patchout_freq, patchout_time : int >= 0
        Rows and columns of patches that are left out in training; at least one of each stays.
    dropout : float in [0, 1)
        After the embeddings and inside each block.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    freq_stride: int = 10
    time_stride: int = 10
    n_time: int | None = None
    patchout_freq: int = 0
    patchout_time: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.dim, self.depth, self.heads) < 1 or self.dim % self.heads:
            raise ParameterError(
                f"PaSST takes a dim that its heads divide; got dim={self.dim}, heads={self.heads}, depth={self.depth}"
            )
        if not (1 <= self.freq_stride <= PATCH and 1 <= self.time_stride <= PATCH):
            raise ParameterError(
                f"PaSST takes strides from 1 to {PATCH}; got {self.freq_stride} (freq) and {self.time_stride} (time)"
            )
        if min(self.patchout_freq, self.patchout_time) < 0 or self.columns < 1:
            raise ParameterError(
                f"PaSST takes patchout_freq and patchout_time of at least 0 and n_time of at least 1; got "
                f"{self.patchout_freq}, {self.patchout_time} and {self.n_time}"
            )

    @property
    def rows(self) -> int:
        """Rows of patches: 12 at stride 10."""
        return (BANDS - PATCH) // self.freq_stride + 1

    @property
    def columns(self) -> int:
        """Columns of patches that have time embeddings: 99 at stride 10."""
        return FRAMES // self.time_stride if self.n_time is None else self.n_time

    @property
    def max_frames(self) -> int:
        """Most frames of features that fit."""
        return PATCH + self.columns * self.time_stride - 1


class PatchEmbed(nn.Module):
    """Overlapping patches of 16 x 16, each made a token by one linear map."""

    def __init__(self, settings: PaSSTSettings):
        super().__init__()
        self.proj = nn.Conv2d(1, settings.dim, PATCH, (settings.freq_stride, settings.time_stride))

    def forward(self, features: Tensor) -> Tensor:
        """(batch, 1, freq, frame) -> (batch, dim, row, column)."""
        return self.proj(features)


class SelfAttention(nn.Module):
    """Each token looks at all tokens."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, dim) -> the same shape."""
        batch, n, dim = x.shape
        qkv = self.qkv(x).view(batch, n, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, head, token, dim / heads)
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.proj_drop(self.proj(seen.transpose(1, 2).reshape(batch, n, dim)))


class Mlp(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, dim) -> the same shape."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class TransformerBlock(nn.Module):
    """SelfAttention, then a small network for each token; each added to what came in."""

    def __init__(self, settings: PaSSTSettings):
        super().__init__()
        self.norm1 = nn.LayerNorm(settings.dim, EPS)
        self.attn = SelfAttention(settings.dim, settings.heads, settings.dropout)
        self.norm2 = nn.LayerNorm(settings.dim, EPS)
        self.mlp = Mlp(settings.dim, settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, dim) -> the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PaSST(nn.Module):
    """The network: features ``(batch, 1, 128, frame)`` -> logits ``(batch, class)``.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 1.
    settings : PaSSTSettings, optional
        Size of the transformer; by default the published one.

    Notes
    -----
    Its second head (``head_dist``) takes no part; it is there because the published checkpoints hold it.
    """

    class_tokens = N_OWN

    def __init__(self, n_classes: int = 527, settings: PaSSTSettings | None = None):
        super().__init__()
        if n_classes < 1:
            raise ParameterError(f"PaSST needs at least one class; got {n_classes}")
        self.settings = s = settings or PaSSTSettings()
        self.patch_embed = PatchEmbed(s)
        self.cls_token = nn.Parameter(torch.empty(1, 1, s.dim))
        self.dist_token = nn.Parameter(torch.empty(1, 1, s.dim))
        self.new_pos_embed = nn.Parameter(torch.empty(1, N_OWN, s.dim))
        self.freq_new_pos_embed = nn.Parameter(torch.empty(1, s.dim, s.rows, 1))
        self.time_new_pos_embed = nn.Parameter(torch.empty(1, s.dim, 1, s.columns))
        self.pos_drop = nn.Dropout(s.dropout)
        self.blocks = nn.Sequential(*(TransformerBlock(s) for _ in range(s.depth)))
        self.norm = nn.LayerNorm(s.dim, EPS)
        self.head = nn.Sequential(nn.LayerNorm(s.dim), nn.Linear(s.dim, n_classes))
        self.head_dist = nn.Linear(s.dim, n_classes)
        self._initialise()

    def _initialise(self) -> None:
        for own in (
            self.cls_token,
            self.dist_token,
            self.new_pos_embed,
            self.freq_new_pos_embed,
            self.time_new_pos_embed,
        ):
            nn.init.trunc_normal_(own, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, class)`` of features ``(batch, 1, 128, frame)``.

        Raises
        ------
        ShapeError
            For another number of bands, less than one patch, or more than there are time embeddings for.
        """
        self._check(features)
        patches = self._placed(self.patch_embed(features))  # (batch, dim, row, column)
        if self.training:
            patches = self._patchout(patches)
        tokens = patches.flatten(2).transpose(1, 2)  # (batch, row * column, dim)
        own = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed  # (1, 2, dim)
        tokens = torch.cat([own.expand(len(tokens), -1, -1), tokens], 1)  # (batch, 2 + row * column, dim)
        tokens = self.norm(self.blocks(self.pos_drop(tokens)))
        return self.head(tokens[:, :N_OWN].mean(1))

    def _check(self, features: Tensor) -> None:
        s = self.settings
        if features.ndim != 4 or features.shape[1:3] != (1, BANDS) or features.shape[3] < PATCH:
            raise ShapeError(
                f"PaSST takes features (batch, 1, {BANDS}, frame) of at least {PATCH} frames; got {tuple(features.shape)}"
            )
        if features.shape[3] > s.max_frames:
            raise ShapeError(
                f"PaSST got {features.shape[3]} frames, {features.shape[3] * HOP_S:.2f} s, but has time embeddings for "
                f"{s.max_frames * HOP_S:.2f} s; cut the sound into windows of that length, or build it with a larger n_time"
            )

    def _placed(self, patches: Tensor) -> Tensor:
        """Patches with the embeddings of where they are; a short sound starts anywhere in training, at 0 else."""
        n, all_times = patches.shape[3], self.time_new_pos_embed
        spare = all_times.shape[3] - n
        start = int(torch.randint(spare + 1, (1,))) if self.training and spare else 0
        return patches + all_times[..., start : start + n] + self.freq_new_pos_embed

    def _patchout(self, patches: Tensor) -> Tensor:
        """Without some whole columns and rows, the same for the batch, drawn from torch's global generator."""
        for axis, n_out in ((3, self.settings.patchout_time), (2, self.settings.patchout_freq)):
            n = patches.shape[axis]
            if n_out:
                stay = torch.randperm(n)[: max(1, n - n_out)].sort().values
                patches = patches.index_select(axis, stay.to(patches.device))
        return patches

    def token_maps(self, tokens: Tensor) -> Tensor:
        """Tokens ``(batch, token, channel)`` of a layer -> maps ``(batch, channel, freq, frame)``; without the first two.

        Raises
        ------
        UnsupportedError
            If they fill no grid, as with patch-out in training.
        """
        rows = self.settings.rows
        n = tokens.shape[1] - N_OWN
        patched_out = self.training and (self.settings.patchout_freq or self.settings.patchout_time)
        if tokens.ndim != 3 or n < rows or n % rows or patched_out:
            raise UnsupportedError(
                f"tokens of shape {tuple(tokens.shape)} lie on no grid of {rows} rows of patches; patch-out leaves some "
                "out in training: use evaluation mode"
            )
        return tokens[:, N_OWN:].transpose(1, 2).unflatten(2, (rows, n // rows))


class PatchLogMel(KaldiLogMel):
    """The front end of PaSST: `KaldiLogMel`; sounds hold at least one patch and fit the embeddings."""

    def __init__(self, max_frames: int, high_hz: float = 15000.0):
        super().__init__(high_hz=high_hz)
        self.max_frames = max_frames

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples: that of one patch."""
        return max(super().minimum_length, (PATCH - 1) * self.hop_length + 1)

    @property
    def maximum_length(self) -> int:
        """Longest waveform in samples that the time embeddings reach."""
        return self.max_frames * self.hop_length


@register(
    "architecture",
    "passt",
    family="passt",
    source="koutini2022passt",
    parameters=(
        Parameter("dim", int, 768, "length of a token; 768 is PaSST-S, 192 trains on a laptop", 1, 4096),
        Parameter("depth", int, 12, "blocks; 6 trains on a laptop", 1, 64),
        Parameter("heads", int, 12, "of each block; a divisor of dim", 1, 64),
        Parameter("freq_stride", int, 10, "bands from patch to patch", 1, PATCH),
        Parameter("time_stride", int, 10, "frames from patch to patch", 1, PATCH),
        Parameter("n_time", int, None, "columns with time embeddings; none is those of ten seconds", 1, 100_000),
        Parameter("patchout_freq", int, 0, "rows of patches left out in training", 0, BANDS),
        Parameter("patchout_time", int, 0, "columns of patches left out in training", 0, 100_000),
        Parameter("dropout", float, 0.0, "after the embeddings and in the blocks", 0.0, 0.95),
        Parameter(
            "high_hz", float, 15000.0, "top of the mel bank; 15000 as the released models are used", 1000.0, 16000.0
        ),
    ),
)
def passt(n_classes: int, high_hz: float, **settings: Any) -> Parts:
    """Patchout transformer on 128 Kaldi mel bands at 32 kHz; PaSST-S by default."""
    chosen = PaSSTSettings(**settings)
    middle = (PATCH - 1) / 2
    place = ((middle, float(chosen.freq_stride)), (middle, float(chosen.time_stride)))
    return Parts(
        PaSST(n_classes, chosen),
        PatchLogMel(chosen.max_frames, high_hz),
        sample_rate=32000,
        cam_layer=f"blocks.{chosen.depth - 1}.norm1",
        axes={"patch_embed": "channel freq frame", "blocks": "token channel", "norm": "token channel"},
        places=dict.fromkeys(("patch_embed", "blocks", "norm"), place),
        head=("head.1.", "head_dist."),
    )


for _name, _file, _settings in (
    ("passt_s_swa_p16_128_ap476", "v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt", {}),
    ("passt_s_swa_p16_128_ap4761", "v0.0.2-audioset/passt-s-f128-p16-s10-ap.4761-swa.pt", {}),
    ("passt_s_p16_128_ap472", "v0.0.2-audioset/passt-s-f128-p16-s10-ap.472.pt", {}),
    (
        "passt_s_swa_p16_s12_128_ap473",
        "v0.0.2-audioset/passt-s-f128-p16-s12-ap.473-swa.pt",
        {"freq_stride": 12, "time_stride": 12},
    ),
    (
        "passt_s_swa_p16_s14_128_ap471",
        "v0.0.2-audioset/passt-s-f128-p16-s14-ap.471-swa.pt",
        {"freq_stride": 14, "time_stride": 14},
    ),
    (
        "passt_s_swa_p16_s16_128_ap473",
        "v0.0.2-audioset/passt-s-f128-p16-s16-ap.473-swa.pt",
        {"freq_stride": 16, "time_stride": 16},
    ),
    ("passt_s_f128_20sec_p16_s10_ap474_swa", "v0.0.5/passt-s-f128-20sec-p16-s10-ap.474-swa.pt", {"n_time": 200}),
    ("passt_s_f128_30sec_p16_s10_ap473_swa", "v0.0.5/passt-s-f128-30sec-p16-s10-ap.473-swa.pt", {"n_time": 300}),
):
    register_checkpoint(
        Checkpoint(
            name=_name,
            architecture="passt",
            settings=_settings,
            url=f"{RELEASES}/{_file}",
            file=_file.rsplit("/", 1)[-1],
            labels=audioset_labels,
            summary="PaSST-S tagger, trained on AudioSet by the authors of PaSST.",
            licence="Apache-2.0 (weights), CC BY 4.0 (labels)",
            source="koutini2022passt",
        )
    )

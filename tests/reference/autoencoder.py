"""Slow twin of the convolutional autoencoder: float64, one tap after another, patches cut out of the plain sound."""

from __future__ import annotations

import numpy as np

State = dict[str, np.ndarray]


def convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """One clip ``(in, time)``; kernel ``(out, in, tap)``."""
    taps = weight.shape[2]
    around = np.zeros((x.shape[0], x.shape[1] + 2 * pad))
    around[:, pad : pad + x.shape[1]] = x
    length = (around.shape[1] - taps) // stride + 1
    out = np.zeros((weight.shape[0], length)) + bias[:, None]
    for tap in range(taps):
        out += weight[:, :, tap] @ around[:, tap : tap + stride * (length - 1) + 1 : stride]
    return out


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, factor: int) -> np.ndarray:
    """Each frame ``(in,)`` adds its kernel ``(in, out, 2 * factor)`` at ``factor`` times its place; the ends are cut off."""
    frames, taps = x.shape[1], weight.shape[2]
    pad, more = factor // 2 + factor % 2, factor % 2
    whole = np.zeros((weight.shape[1], (frames - 1) * factor + taps + more))
    for frame in range(frames):
        for tap in range(taps):
            whole[:, frame * factor + tap] += x[:, frame] @ weight[:, :, tap]
    return whole[:, pad : whole.shape[1] - pad] + bias[:, None]


def group_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, groups: int) -> np.ndarray:
    out = np.zeros_like(x)
    size = x.shape[0] // groups
    for g in range(groups):
        part = x[g * size : (g + 1) * size]
        out[g * size : (g + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return out * weight[:, None] + bias[:, None]


def conv_block(x: np.ndarray, state: State, name: str, groups: int) -> np.ndarray:
    x = group_norm(x, state[f"{name}.groupnorm.weight"], state[f"{name}.groupnorm.bias"], groups)
    x = x / (1 + np.exp(-x))
    return convolution(x, state[f"{name}.project.weight"], state[f"{name}.project.bias"], 1, 1)


def resnet_block(x: np.ndarray, state: State, name: str, groups: int) -> np.ndarray:
    y = conv_block(conv_block(x, state, f"{name}.block1", groups), state, f"{name}.block2", groups)
    if f"{name}.to_out.weight" in state:
        x = convolution(x, state[f"{name}.to_out.weight"], state[f"{name}.to_out.bias"], 1, 0)
    return y + x


def patches(x: np.ndarray, size: int) -> np.ndarray:
    """``(channel, time)`` -> ``(channel * size, time / size)``: channel after channel, each with its samples in order."""
    rows = [x[c, place::size] for c in range(x.shape[0]) for place in range(size)]
    return np.stack(rows)


def unpatched(x: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros((x.shape[0] // size, x.shape[1] * size))
    for row in range(x.shape[0]):
        out[row // size, row % size :: size] = x[row]
    return out


def encode(x: np.ndarray, state: State, config) -> np.ndarray:
    """One clip ``(channel, time)`` -> latent ``(channel, frame)``."""
    x = resnet_block(x, state, "encoder.to_in.block", min(config.patch_size, config.in_channels))
    x = patches(x, config.patch_size)
    for i, (factor, blocks) in enumerate(zip(config.factors, config.num_blocks, strict=True)):
        name = f"encoder.downsamples.{i}"
        x = convolution(x, state[f"{name}.downsample.weight"], state[f"{name}.downsample.bias"], factor, factor)
        for j in range(blocks):
            x = resnet_block(x, state, f"{name}.blocks.{j}", config.resnet_groups)
    return np.tanh(x)


def decode(x: np.ndarray, state: State, config) -> np.ndarray:
    """Latent -> one clip."""
    for i, (factor, blocks) in enumerate(zip(config.factors[::-1], config.num_blocks[::-1], strict=True)):
        name = f"decoder.upsamples.{i}"
        for j in range(blocks):
            x = resnet_block(x, state, f"{name}.blocks.{j}", config.resnet_groups)
        weight, bias = state[f"{name}.upsample.weight"], state[f"{name}.upsample.bias"]
        x = convolution(x, weight, bias, 1, 1) if factor == 1 else transposed(x, weight, bias, factor)
    x = unpatched(x, config.patch_size)
    return resnet_block(x, state, "decoder.to_out.block", min(config.patch_size, config.in_channels))

"""Reentrant checkpoints, run as plain calls while gradients are taken."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from otoscope.surgery.checkpointing import plain_checkpoints


def test_gradients_by_inner_tensors_work_inside_and_torch_is_as_before():
    x = torch.ones(3, requires_grad=True)
    before = torch.utils.checkpoint.CheckpointFunction
    with plain_checkpoints():
        inner = x * 2
        y = checkpoint(torch.square, inner, use_reentrant=True)
        (gradient,) = torch.autograd.grad(y.sum(), inner)
    assert torch.equal(gradient, 2 * inner)
    assert torch.utils.checkpoint.CheckpointFunction is before
    with pytest.raises(RuntimeError, match=r"[Cc]heckpoint"):
        torch.autograd.grad(checkpoint(torch.square, x * 2, use_reentrant=True).sum(), x)


def test_an_error_undoes_it():
    before = torch.utils.checkpoint.CheckpointFunction
    with pytest.raises(ValueError, match="mine"), plain_checkpoints():
        raise ValueError("mine")
    assert torch.utils.checkpoint.CheckpointFunction is before


def test_blocks_that_overlap_leave_torch_as_it_was():
    before = torch.utils.checkpoint.CheckpointFunction
    first, second = plain_checkpoints(), plain_checkpoints()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.utils.checkpoint.CheckpointFunction is not before
    second.__exit__(None, None, None)
    assert torch.utils.checkpoint.CheckpointFunction is before

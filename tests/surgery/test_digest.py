"""One number for a model's weights: the same for the same, another for any other."""

from __future__ import annotations

import torch

from otoscope.surgery import state_digest


def test_names_values_shapes_and_kinds_count():
    plain = {"a": torch.arange(6.0), "b": torch.zeros(2, 3)}
    others = [
        {"a": torch.arange(6.0), "c": torch.zeros(2, 3)},
        {"a": torch.arange(6.0) + 1e-6, "b": torch.zeros(2, 3)},
        {"a": torch.arange(6.0), "b": torch.zeros(3, 2)},
        {"a": torch.arange(6.0).double(), "b": torch.zeros(2, 3)},
        {"a": torch.arange(6.0), "b": torch.zeros(2, 3), "n": torch.tensor(0)},
        {"a": torch.arange(6.0)},
        {"a": torch.zeros(2, 3), "b": torch.arange(6.0)},
        {},
    ]
    found = [state_digest(s) for s in (plain, *others)]
    assert len(set(found)) == len(found)
    assert state_digest(plain, (("temperature", 1.0),)) not in found
    assert state_digest(plain, (("temperature", 1.0),)) != state_digest(plain, (("temperature", 2.0),))


def test_order_and_place_in_memory_do_not_count():
    a, b = torch.randn(3, 4, 5, 6), torch.tensor(3)
    first = state_digest({"a": a, "b": b})
    assert state_digest({"b": b.clone(), "a": a.to(memory_format=torch.channels_last)}) == first
    assert state_digest({"a": torch.nn.Parameter(a), "b": b}) == first


def test_all_kinds_of_numbers_are_taken():
    for dtype in (torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.complex64):
        values = [torch.tensor([0, 1]).to(dtype), torch.tensor([1, 1]).to(dtype)]
        assert state_digest({"a": values[0]}) != state_digest({"a": values[1]})
    nan = {"a": torch.tensor([torch.nan])}
    assert state_digest(nan) == state_digest({"a": nan["a"].clone()})

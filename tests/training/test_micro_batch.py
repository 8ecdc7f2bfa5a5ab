"""Tensors that go to a device together."""

from __future__ import annotations

import torch

from tests.training.small import RandomRows


def test_all_tensors_move_and_the_rest_stays() -> None:
    batch = RandomRows().batch(0)[0]
    assert batch.to("cpu") is batch
    moved = batch.to("meta")
    for name in ("x_BD", "y_BT", "mask_BT"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(moved, name).shape == getattr(batch, name).shape
    assert moved.tokens == batch.tokens


def test_pinned_memory_is_asked_for_once_for_each(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    batch = RandomRows().batch(0)[0]
    copy = batch.pinned()
    assert {id(t) for t in pinned} == {id(batch.x_BD), id(batch.y_BT), id(batch.mask_BT)}
    assert torch.equal(copy.x_BD, batch.x_BD)
    assert copy.x_BD is not batch.x_BD

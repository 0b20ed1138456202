# SPDX-License-Identifier: MIT
"""The fast gradient of target-only margins is the one that autograd finds block by block."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from arcface_fair.head import chunked_gradient
from arcface_fair.head.backward_any_margin import gradient_by_autograd
from tests.arcface_fair.head.full_softmax import make_batch, make_head


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("margin", ["arcface", "cosface", "combined-filter", "cifp-arcface"])
@pytest.mark.parametrize("parts", ["ce", "entropy", "pmax", "all"])
def test_fast_and_general_gradients_are_one(
    parts: str, margin: str, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch(3, sampled=sampled)

    def gradients() -> tuple[Any, ...]:
        head = make_head(batch, margin, "chunked")
        rows = batch.embeddings.clone().requires_grad_()
        active = None if batch.active is None else head.sample(batch.labels)
        found = head.statistics(rows, batch.labels, active=active)
        gains = torch.linspace(-1, 2, 12, dtype=torch.float64)
        names = ("ce", "entropy", "pmax") if parts == "all" else (parts,)
        loss = sum((gains * getattr(found, name)).sum() for name in names)
        return torch.autograd.grad(loss, [rows, head.weight])  # type: ignore[arg-type]

    fast = gradients()
    monkeypatch.setattr(chunked_gradient, "quick_gradient", gradient_by_autograd)
    for one, two in zip(fast, gradients(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11 * float(two.abs().max()))

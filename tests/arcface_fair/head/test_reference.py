# SPDX-License-Identifier: MIT
"""The head gives the numbers of the released codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arcface_fair.dist import rank, world_size
from arcface_fair.head import CIFP, ArcFace, PartialFC
from tests.ranks import run_ranks

REFERENCE = Path(__file__).parents[3] / "../shared/reference"
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="../shared/reference, the released codes' numbers, is absent"
)


def load(name: str) -> dict[str, Any]:
    return dict(np.load(REFERENCE / f"{name}.npz"))


def head_step(
    margin: Any, emb: np.ndarray, labels: np.ndarray, weight: np.ndarray, kernel: str
) -> tuple[float, Tensor, Tensor]:
    head = PartialFC(margin, emb.shape[1], len(weight), kernel=kernel)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight)[head.classes.start : head.classes.stop])
    own = slice(rank() * len(emb) // world_size(), (rank() + 1) * len(emb) // world_size())
    local = torch.from_numpy(emb[own]).requires_grad_()
    loss = head(local, torch.from_numpy(labels[own]))
    loss.backward()
    assert local.grad is not None
    assert head.weight.grad is not None
    return loss.item(), local.grad, head.weight.grad


def assert_close(ours: Tensor, theirs: np.ndarray, tolerance: float = 1e-5) -> None:
    scale = float(np.abs(theirs).max())
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_arcface_equals_upstreams_head(ranks: int, kernel: str) -> None:
    given, wanted = load("up_arcface.in"), load(f"up_arcface.w{ranks}")
    margin = ArcFace(float(given["s"]), float(given["m2"]))
    answers = run_ranks(
        ranks, head_step, margin, given["emb"], given["labels"], given["weight"], kernel
    )
    for loss, _, _ in answers:
        assert loss == pytest.approx(float(wanted["loss"]), rel=1e-5)
    assert_close(torch.cat([grad for _, grad, _ in answers]), wanted["grad_emb"])
    assert_close(torch.cat([grad for _, _, grad in answers]), wanted["grad_weight"])


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("cifp", [0, 1])
def test_exact_arcface_equals_the_authors_head(cifp: int, ranks: int, kernel: str) -> None:
    given, wanted = load(f"invreg_fc_cifp{cifp}.in"), load(f"invreg_fc_cifp{cifp}.out")
    plain = ArcFace(float(given["scale"]), float(given["margin"]), gradient="exact")
    margin = CIFP(plain) if cifp else plain
    weight = np.ascontiguousarray(given["kernel"].T)
    answers = run_ranks(ranks, head_step, margin, given["emb"], given["labels"], weight, kernel)
    for loss, _, _ in answers:
        assert loss == pytest.approx(float(wanted["loss"]), rel=1e-5)
    assert_close(torch.cat([grad for _, grad, _ in answers]) / ranks, wanted["grad_emb"])
    assert_close(torch.cat([grad for _, _, grad in answers]), wanted["grad_kernel"].T)

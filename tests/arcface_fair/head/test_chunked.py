# SPDX-License-Identifier: MIT
"""The chunked kernel holds one block of the logits, and one gradient of the weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from arcface_fair.head import CIFP, ArcFace, CosFace, PartialFC
from arcface_fair.head.chunked import split_centres
from tests.arcface_fair.head.full_softmax import InPlaceArcFace

ROWS, CLASSES, WIDTH, BLOCK = 16, 4000, 8, 100


class Sizes(TorchDispatchMode):
    """Notes the size of every tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.of_weight_size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, torch.Tensor) and value.shape != (CLASSES, WIDTH):
                self.largest = max(self.largest, value.numel())
        if func is torch.ops.aten.empty_like.default or func is torch.ops.aten.new_zeros.default:
            self.of_weight_size += out.shape == (CLASSES, WIDTH)
        return out


@pytest.mark.parametrize(
    "margin",
    [ArcFace(), CIFP(CosFace()), InPlaceArcFace()],
    ids=["target only", "cifp", "any margin"],
)
def test_no_matrix_of_rows_by_classes_is_ever_made(margin: Any) -> None:
    largest = {}
    for kernel in ("dense", "chunked"):
        head = PartialFC(margin, WIDTH, CLASSES, kernel=kernel)  # type: ignore[arg-type]
        head.block_columns = BLOCK
        rows = torch.randn(ROWS, WIDTH, requires_grad=True)
        with Sizes() as sizes:
            head(rows, torch.arange(ROWS) * 7).backward()
        largest[kernel] = sizes.largest
    assert largest["dense"] == ROWS * CLASSES
    assert largest["chunked"] <= CLASSES + 3 * ROWS * BLOCK


def test_the_targets_gradient_joins_the_weights_own_buffer() -> None:
    head = PartialFC(ArcFace(), WIDTH, CLASSES, kernel="chunked")
    rows = torch.randn(ROWS, WIDTH, requires_grad=True)
    with Sizes() as sizes:
        head(rows, torch.arange(ROWS)).backward()
    assert sizes.of_weight_size == 1


@pytest.mark.parametrize("use", ["both", "whole", "some"])
def test_split_centres_is_the_weight_and_its_rows(use: str) -> None:
    weight = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    places = torch.tensor([3, 0, 3])

    def loss(whole: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
        return (use != "some") * whole.pow(3).sum() + (use != "whole") * some.pow(2).sum()

    def split(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, some = split_centres(w, places)
        return (whole, w[places]) if use == "whole" else (w if use == "some" else whole, some)

    (ours,) = torch.autograd.grad(loss(*split(weight)), weight)
    (theirs,) = torch.autograd.grad(loss(weight, weight[places]), weight)
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradgradcheck(lambda w: loss(*split(w)), weight)

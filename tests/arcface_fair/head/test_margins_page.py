# SPDX-License-Identifier: MIT
"""The margins that docs/margins.md shows run as printed, alike in both kernels and on two ranks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.head import PartialFC
from tests.ranks import run_ranks

PAGE = Path(__file__).parents[3] / "docs/margins.md"
NAMES = ("soft_triplet", "Squared", "AdaFace", "CurricularFace")


def margins() -> dict[str, Any]:
    """What the page's first four blocks of code define."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[:4]
    names: dict[str, Any] = {"torch": torch}
    for block in blocks:
        exec(re.sub(r"^head = .*$", "", block, flags=re.M), names)
    made = {name: names[name] for name in NAMES}
    made["Squared"] = made["Squared"](16.0)
    return made | {name: made[name](8.0) for name in ("AdaFace", "CurricularFace")}


def two_steps(name: str, kernel: Any) -> tuple[Tensor, Tensor, Tensor]:
    head = PartialFC(margins()[name], 6, 23, kernel=kernel).double()
    head.block_columns = 5
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(8, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(23, (8,), generator=generator)
    here = slice(dist.rank() * 8 // dist.world_size(), (dist.rank() + 1) * 8 // dist.world_size())
    leaf = rows[here].clone().requires_grad_()
    for _ in range(2):  # the second step meets the running averages of the first
        loss = head(leaf, labels[here])
        of_rows, of_weight = torch.autograd.grad(loss, [leaf, head.weight])
    return loss.detach(), of_rows / dist.world_size(), of_weight


@pytest.mark.parametrize("name", NAMES)
def test_a_margin_of_the_page_is_one_function_in_both_kernels_and_on_shards(name: str) -> None:
    ((wanted, rows, weight),) = run_ranks(1, two_steps, name, "dense")
    for world in (1, 2):
        for kernel in ("dense", "chunked"):
            answers = run_ranks(world, two_steps, name, kernel)
            torch.testing.assert_close(answers[0][0], wanted, rtol=1e-10, atol=0)
            for index, whole in ((1, rows), (2, weight)):
                ours = torch.cat([answer[index] for answer in answers])
                torch.testing.assert_close(ours, whole, rtol=1e-9, atol=1e-12)

# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from arcface_fair import dist
from gabn_plugin.classifier import MapNet
from tests.ranks import run_ranks


def test_it_is_resnet_18_with_one_channel_in() -> None:
    network = MapNet(4)
    # 11,689,512 is ResNet-18 for 1000 classes and three channels.
    expected = 11_689_512 - 2 * 64 * 49 - 513 * 1000 + 513 * 4
    assert sum(p.numel() for p in network.parameters()) == expected
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 17 + 3  # with the linear layer 18, and three shortcuts


@pytest.mark.parametrize("groups", [2, 7])
def test_any_number_of_groups_and_any_side(groups: int) -> None:
    network = MapNet(groups, width=4).eval()
    for side in (14, 56, 112):
        assert network(torch.rand(3, 1, side, side)).shape == (3, groups)
    assert network(torch.rand(0, 1, 28, 28)).shape == (0, groups)


def test_the_first_weights_come_from_the_seed_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (MapNet(3, 4, seed).fc.weight for seed in (8, 8, 9))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(9, 1, 28, 28, generator=generator, dtype=torch.float64)
    return maps, torch.arange(9) % 3


def _one_step(sizes: list[int]) -> tuple[Any, ...]:
    """Loss, summed gradients and running statistics when ranks hold ``sizes`` rows each."""
    maps, labels = data()
    own = torch.arange(9).split(sizes)[dist.rank()]
    network = MapNet(3, 4, seed=2).double().train()
    loss = cross_entropy(network(maps[own]), labels[own], reduction="sum") / 9
    loss.backward()
    gradients = [dist.all_reduce_(p.grad) for p in network.parameters() if p.grad is not None]
    total = dist.all_reduce_(loss.detach().clone())
    kept = [network.bn1.running_mean, network.stages[7].bn2.running_var]
    return total, gradients, kept


@pytest.mark.parametrize("sizes", [[5, 4], [9, 0]])
def test_ranks_with_any_share_of_the_rows_compute_what_one_process_would(sizes: list[int]) -> None:
    whole = run_ranks(1, _one_step, [9])[0]
    for answer in run_ranks(2, _one_step, sizes):
        torch.testing.assert_close(answer, whole)

# SPDX-License-Identifier: MIT
"""The collectives are true adjoints, and ranks that disagree end with a sentence."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError
from tests.ranks import RankError, run_ranks


def _rank_of(world_size: int) -> tuple[int, int, int]:
    assert dist.world_size() == world_size
    return dist.rank(), dist.world_size(), torch.get_num_threads()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_rank_answers_in_rank_order_with_one_thread(world_size: int) -> None:
    answers = run_ranks(world_size, _rank_of, world_size)
    assert answers == [(rank, world_size, 1) for rank in range(world_size)]


def _process_id() -> int:
    return os.getpid()


def test_one_pool_serves_every_task_of_a_world_size() -> None:
    assert run_ranks(2, _process_id) == run_ranks(2, _process_id)


def _fail_on_rank_one() -> None:
    if dist.rank() == 1:
        raise UserError("a sentence from rank one")


def test_an_error_on_one_rank_comes_home_as_text() -> None:
    with pytest.raises(RankError, match=r"rank 1(.|\n)*UserError: a sentence from rank one"):
        run_ranks(2, _fail_on_rank_one)
    assert run_ranks(2, _rank_of, 2)[1][0] == 1  # and a new pool takes over


def _raise_together() -> str:
    try:
        dist.raise_together(UserError("only rank one knew") if dist.rank() == 1 else None)
    except UserError as error:
        return str(error)
    return "nothing raised"


def test_raise_together_raises_the_same_sentence_on_every_rank() -> None:
    assert run_ranks(2, _raise_together) == ["only rank one knew"] * 2


def _gather_gradients(parts: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, ...]:
    local = parts[dist.rank()].clone().requires_grad_()
    rows = dist.gather_rows(local)
    own = weights[dist.rank()]  # each rank sums its own cube, as each shard has its own loss
    (first,) = torch.autograd.grad((own * rows**3).sum(), local, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), local)
    return rows.detach(), first.detach(), second


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_gather_is_differentiable_twice_and_carries_no_factor(world_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(2, 3, generator=generator, dtype=torch.float64) for _ in range(world_size)]
    weights = [
        torch.randn(2 * world_size, 3, generator=generator, dtype=torch.float64)
        for _ in range(world_size)
    ]
    full = torch.cat(parts).requires_grad_()
    loss = (sum(weights) * full**3).sum()
    (first,) = torch.autograd.grad(loss, full, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), full)
    for rank, (rows, one, two) in enumerate(
        run_ranks(world_size, _gather_gradients, parts, weights)
    ):
        torch.testing.assert_close(rows, full.detach())
        torch.testing.assert_close(one, first.detach().chunk(world_size)[rank])
        torch.testing.assert_close(two, second.chunk(world_size)[rank])


def test_scale_gradient_changes_the_gradient_and_nothing_else() -> None:
    tensor = torch.tensor([2.0, 3.0], requires_grad=True)
    scaled = dist.scale_gradient(tensor, 4.0)
    scaled.pow(2).sum().backward()
    assert torch.equal(scaled, tensor)
    assert tensor.grad is not None
    torch.testing.assert_close(tensor.grad, 4 * 2 * tensor.detach())


def _shared_square(values: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    local = values[dist.rank()].clone().requires_grad_()
    total = dist.sum_over_ranks(local**2)
    own = torch.arange(len(total)) % dist.world_size() == dist.rank()  # each element used once
    (first,) = torch.autograd.grad((total**2)[own].sum(), local, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), local)
    return dist.gather_values(local), first.detach(), second


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_sum_over_ranks_is_differentiable_twice(world_size: int) -> None:
    values = [torch.tensor([1.0, 2.0, 3.0]) + rank for rank in range(world_size)]
    leaves = [value.clone().requires_grad_() for value in values]
    loss = (sum(leaf**2 for leaf in leaves) ** 2).sum()  # type: ignore[union-attr, operator]
    firsts = torch.autograd.grad(loss, leaves, create_graph=True)
    seconds = torch.autograd.grad(sum(first.sum() for first in firsts), leaves)  # type: ignore[arg-type]
    for rank, (stacked, first, second) in enumerate(run_ranks(world_size, _shared_square, values)):
        torch.testing.assert_close(stacked, torch.stack(values))
        torch.testing.assert_close(first, firsts[rank].detach())
        torch.testing.assert_close(second, seconds[rank])

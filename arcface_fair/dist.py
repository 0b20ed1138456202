# SPDX-License-Identifier: MIT
"""Ranks and the few collectives the project needs, with gradients that are true adjoints.

A process without an initialised group counts as rank 0 of 1, and every function here is then
free of communication.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.distributed as torch_dist
from torch import Tensor

from arcface_fair.errors import UserError

_OPS = {
    "sum": torch_dist.ReduceOp.SUM,
    "max": torch_dist.ReduceOp.MAX,
    "min": torch_dist.ReduceOp.MIN,
}


def is_initialized() -> bool:
    """Whether this process belongs to a process group."""
    return torch_dist.is_available() and torch_dist.is_initialized()


def rank() -> int:
    """This process's rank, 0 without a group."""
    return torch_dist.get_rank() if is_initialized() else 0


def world_size() -> int:
    """The number of processes, 1 without a group."""
    return torch_dist.get_world_size() if is_initialized() else 1


def local_rank() -> int:
    """This process's rank on its own machine, as torchrun gives it; 0 without torchrun."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def all_reduce_(tensor: Tensor, op: Literal["sum", "max", "min"] = "sum") -> Tensor:
    """Reduces ``tensor`` over all ranks in place and returns it; not differentiable."""
    if world_size() > 1:
        torch_dist.all_reduce(tensor, op=_OPS[op])
    return tensor


def barrier() -> None:
    """Waits until every rank has arrived."""
    if world_size() > 1:
        torch_dist.barrier()


def broadcast_(tensor: Tensor, source: int = 0) -> Tensor:
    """Overwrites ``tensor`` with rank ``source``'s values in place and returns it."""
    if world_size() > 1:
        torch_dist.broadcast(tensor, src=source)
    return tensor


def gather_objects(value: Any) -> list[Any]:
    """Every rank's ``value``, in rank order, on every rank. For small Python objects."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    torch_dist.all_gather_object(values, value)
    return values


@contextmanager
def failing_together() -> Iterator[None]:
    """Raises on every rank, after the block, the first UserError by rank that any rank raised.

    For work that may fail on one rank and that has no collective inside: without it the others
    would wait for that rank in the next one. Enter it on all ranks.
    """
    error: UserError | None = None
    try:
        yield
    except UserError as caught:
        error = caught
    raise_together(error)


def raise_together(error: UserError | None) -> None:
    """Raises on every rank if any rank has an error, so that nobody waits in a collective.

    Call it on all ranks with this rank's error or None. Every rank raises the first error by
    rank order, which keeps the message the same everywhere.
    """
    if world_size() == 1 and error is not None:
        raise error
    messages = gather_objects(None if error is None else str(error))
    for message in messages:
        if message is not None:
            raise UserError(message) from error


class _GatherRows(torch.autograd.Function):
    """Concatenates the ranks' rows; its backward is the adjoint, differentiable in turn."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(world_size())]
        torch_dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return _SumAndSplitRows.apply(grad)


class _SumAndSplitRows(torch.autograd.Function):
    """Sums over ranks and keeps this rank's rows (reduce-scatter); its adjoint is the gather."""

    @staticmethod
    def forward(ctx: Any, full: Tensor) -> Tensor:
        # gloo has no reduce-scatter for every dtype; the sum of [N, D] is small beside the head.
        total = all_reduce_(full.contiguous().clone())
        return total.chunk(world_size())[rank()].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return _GatherRows.apply(grad)


def gather_rows(local: Tensor) -> Tensor:
    """Rows of all ranks in rank order: [B, ...] -> [B * world_size, ...].

    Every rank must hold the same shape. The backward is the true adjoint (sum over ranks, own
    rows kept, no factor), and may be differentiated again.
    """
    if world_size() == 1:
        return local
    return _GatherRows.apply(local)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad * ctx.factor, None


def scale_gradient(tensor: Tensor, factor: float) -> Tensor:
    """The same values; the gradient that passes back is multiplied by ``factor``."""
    return tensor if factor == 1 else _ScaleGradient.apply(tensor, factor)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return all_reduce_(tensor.contiguous().clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return _SumOverRanks.apply(grad)


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of all ranks' ``tensor``, equal on all; its own adjoint, differentiable twice.

    The gradient is summed too, so only one rank may use each element of the result, or each rank
    its own share of it; a value that all ranks go on to use alike would count once per rank.
    """
    return tensor if world_size() == 1 else _SumOverRanks.apply(tensor)


def gather_values(tensor: Tensor) -> Tensor:
    """All ranks' ``tensor`` stacked in rank order, [R, ...]; equal shapes, not differentiable."""
    if world_size() == 1:
        return tensor.detach()[None]
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    torch_dist.all_gather(parts, tensor.detach().contiguous())
    return torch.stack(parts)

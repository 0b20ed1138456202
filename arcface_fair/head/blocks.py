# SPDX-License-Identifier: MIT
"""One block of classes at a time: the plan of a pass, its block of logits, its running sums.

N rows of the gathered batch, K active classes on this rank, D embedding size. A block is a
span of columns; its logits [N, block] are the largest thing that exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair.head.margin import MarginContext
from arcface_fair.head.softmax import LOWEST_LOG, Partials

# Stands for a logit that must not count: exp gives 0, and 0 times it is still 0.
NOWHERE = -1e30
_SMALLEST_NORM = 1e-12  # as torch's normalize


@dataclass(frozen=True)
class Plan:
    """What stays the same from block to block, in the forward pass and in every later one."""

    columns: Tensor  # [N] int64, the label's column here, -1 elsewhere
    index: Tensor | None  # [K] rows of the shard that take part, None for all
    num_active: int  # K
    block: int  # columns at a time
    margin: Callable[..., Tensor]
    scale: float | None = None  # s of a target-only margin; None: the margin is called per block
    threshold: float = 0.0  # interclass filter of a target-only margin
    context: MarginContext | None = None
    product_dtype: torch.dtype | None = None
    inverse: Tensor | None = None  # [K] 1 / norm of the active centres, once they are known

    def spans(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of every block."""
        for start in range(0, self.num_active, self.block):
            yield start, min(start + self.block, self.num_active)

    def place(self, start: int, stop: int) -> slice | Tensor:
        """Where the block's centres lie in the shard's weight."""
        return slice(start, stop) if self.index is None else self.index[start:stop]

    def targets(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Rows whose label lies in the block, and its column within the block."""
        (rows,) = torch.where((self.columns >= start) & (self.columns < stop))
        return rows, self.columns[rows] - start


@dataclass(frozen=True)
class Leaves:
    """The differentiable inputs of one block."""

    rows: Tensor  # [N, D] normalised embeddings
    centres: Tensor  # [k, D] class centres, or the whole shard before it is cut
    target: Tensor | None  # [N] target logits of a target-only margin
    target_cosine: Tensor | None  # [N] for a margin that asks for context
    norms: Tensor | None  # [N] likewise

    def tensors(self) -> list[Tensor]:
        """Those that are there, in order."""
        return [value for value in vars(self).values() if value is not None]

    def detached(self, **changes: Tensor) -> Leaves:
        """The same values as new leaves that require a gradient."""
        fresh: dict[str, Any] = {**vars(self), **changes}
        for name, value in fresh.items():
            fresh[name] = None if value is None else value.detach().requires_grad_()
        return Leaves(**fresh)


def block_logits(plan: Plan, leaves: Leaves, start: int) -> Tensor:
    """Logits [N, k] of the block whose centres [k, D] are in ``leaves``; plain autograd."""
    stop = start + len(leaves.centres)
    rows, centres = leaves.rows, normalize(leaves.centres)
    if plan.product_dtype is not None:
        rows, centres = rows.to(plan.product_dtype), centres.to(plan.product_dtype)
    cosines = (rows @ centres.T).to(leaves.rows.dtype).clamp(-1, 1)
    own, column = plan.targets(start, stop)
    if plan.scale is not None:
        assert leaves.target is not None
        if plan.threshold > 0:
            cosines = cosines * (cosines <= plan.threshold)
        return (cosines * plan.scale).index_put((own, column), leaves.target[own])
    labels = torch.full_like(plan.columns, -1)
    labels[own] = column
    if plan.context is None:
        return plan.margin(cosines, labels[:, None])
    assert leaves.target_cosine is not None
    assert leaves.norms is not None
    context = replace(plan.context, target_cosine=leaves.target_cosine, norms=leaves.norms)
    return plan.margin(cosines, labels[:, None], context)


class Scratch:
    """Matrices [N, block] that every block writes into again."""

    def __init__(self, rows: Tensor, block: int, count: int) -> None:
        self.rows = len(rows)
        self.stores = [rows.new_empty(self.rows * block) for _ in range(count)]

    def matrices(self, columns: int) -> list[Tensor]:
        """One contiguous [N, columns] view per matrix."""
        return [store[: self.rows * columns].view(self.rows, columns) for store in self.stores]


def inverse_norms(centres: Tensor) -> Tensor:
    """1 / norm of each centre [k], with torch's floor."""
    return torch.linalg.vector_norm(centres, dim=1).clamp_min_(_SMALLEST_NORM).reciprocal_()


def scaled_cosines(
    plan: Plan, scaled_rows: Tensor, centres: Tensor, inverse: Tensor, out: Tensor
) -> Tensor | None:
    """Writes s * cos [N, k] to ``out``; returns the unit centres if the product needs them low.

    The block of cosines is divided by the centres' norms, not the centres: N is below D as a
    rule, and no copy of them is made. ``scaled_rows`` [N, D] hold s times the unit embeddings.
    """
    assert plan.scale is not None
    if plan.product_dtype is None:
        torch.mm(scaled_rows, centres.T, out=out)
        out.mul_(inverse)
        return None
    low = (centres * inverse[:, None]).to(plan.product_dtype)
    out.copy_((scaled_rows / plan.scale).to(plan.product_dtype) @ low.T)
    out.mul_(plan.scale).clamp_(-plan.scale, plan.scale)
    return low


class Running:
    """Sums over the blocks seen so far, about the largest logit so far."""

    def __init__(self, rows: Tensor) -> None:
        zero = rows.new_zeros(len(rows))
        nowhere = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        self.partials = Partials(zero + NOWHERE, nowhere, zero, zero)

    def add(self, logits: Tensor, start: int, scratch: Tensor) -> None:
        """Takes in one block [N, k]; overwrites ``logits`` and ``scratch``."""
        before = self.partials
        highest = logits.amax(1)
        # The column is looked up only in rows that this block leads: fewer and fewer of them.
        (ahead,) = torch.where(highest > before.peak)
        where = before.where.index_put((ahead,), logits[ahead].argmax(1) + start)
        peak = torch.maximum(before.peak, highest)
        logits.sub_(peak[:, None])
        torch.exp(logits, out=scratch)
        scratch[ahead, where[ahead] - start] = 0
        others = scratch.sum(1)
        moment = torch.mul(scratch, logits, out=logits).sum(1)
        gap = (before.peak - peak).clamp_min(LOWEST_LOG)
        factor = gap.exp()
        # Where this block leads, the largest class so far becomes one of the others.
        mass = before.others.index_add(0, ahead, torch.ones_like(factor[ahead]))
        self.partials = Partials(
            peak,
            where,
            mass * factor + others,
            (before.moment + mass * gap) * factor + moment,
        )


def with_target(partials: Partials, target: Tensor, columns: Tensor) -> Partials:
    """Adds the target's logit [N], where ``columns`` [N] is not -1, to the other classes' sums."""
    owned = columns >= 0
    target = torch.where(owned, target, -torch.inf)
    peak = torch.maximum(partials.peak, target)
    gap = (partials.peak - peak).clamp_min(LOWEST_LOG)
    below = (target - peak).clamp_min(LOWEST_LOG)
    ahead = (target > partials.peak) | ((target == partials.peak) & (columns < partials.where))
    leads = owned & ahead
    # Either the target is one of the others, or the largest class so far becomes one of them.
    share = torch.where(owned & ~ahead, below.exp(), 0)
    mass = partials.others + leads.to(peak.dtype)
    return Partials(
        peak,
        torch.where(leads, columns, partials.where),
        mass * gap.exp() + share,
        (partials.moment + mass * gap) * gap.exp() + share * below,
    )

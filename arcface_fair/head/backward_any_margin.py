# SPDX-License-Identifier: MIT
"""Gradients block by block through autograd: the first for any margin, the second for all."""

from __future__ import annotations

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.head.blocks import Leaves, Plan, block_logits
from arcface_fair.head.softmax import (
    Incoming,
    Rows,
    first_gradient,
    others_share,
    peak_share,
    pmax_second,
)

Grads = tuple[Tensor | None, ...]


def _cut(plan: Plan, leaves: Leaves, start: int, stop: int) -> Leaves:
    return leaves.detached(centres=leaves.centres[plan.place(start, stop)])


def _local(rows: Rows, start: int, stop: int) -> Rows:
    here = (rows.where >= start) & (rows.where < stop)
    return rows._replace(where=torch.where(here, rows.where - start, -1))


def _label_columns(plan: Plan, start: int, stop: int) -> Tensor:
    own, column = plan.targets(start, stop)
    return torch.full_like(plan.columns, -1).index_put((own,), column)


class _Sums:
    """Gradients gathered block by block, in the leaves' order."""

    def __init__(self, plan: Plan, leaves: Leaves) -> None:
        self.totals = {
            name: None if value is None else torch.zeros_like(value)
            for name, value in vars(leaves).items()
        }

    def add(
        self, block: Leaves, gradients: tuple[Tensor | None, ...], place: slice | Tensor
    ) -> None:
        names = [name for name, value in vars(block).items() if value is not None]
        for name, value in zip(names, gradients, strict=True):
            total = self.totals[name]
            if value is None or total is None:
                continue
            if name == "centres":
                total[place] += value
            else:
                total += value

    def in_order(self) -> Grads:
        return tuple(self.totals.values())


def gradient_by_autograd(plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming) -> Grads:
    """Gradients with respect to the leaves, in their order; for any margin."""
    sums = _Sums(plan, leaves)
    for start, stop in plan.spans():
        block = _cut(plan, leaves, start, stop)
        with torch.enable_grad():
            logits = block_logits(plan, block, start)
        labels = _label_columns(plan, start, stop)
        grad = first_gradient(logits.detach(), labels, _local(rows, start, stop), incoming)
        gradients = torch.autograd.grad(logits, block.tensors(), grad, allow_unused=True)
        sums.add(block, gradients, plan.place(start, stop))
    return sums.in_order()


def second_order(
    plan: Plan, leaves: Leaves, rows: Rows, incoming: Tensor, upper: Leaves
) -> tuple[Grads, Tensor]:
    """Gradients of <upper, gradient of pmax> with respect to the leaves and to ``incoming``.

    Two streams: the first reduces u at the largest class and the others' sum of u p over blocks
    and ranks, where u is the gradient with respect to h = g P (a - p); the second applies the
    formula of `pmax_second`.
    """
    sums = _Sums(plan, leaves)
    at_peak = torch.zeros_like(rows.ce)
    others = torch.zeros_like(rows.ce)
    weight = incoming * rows.pmax
    with torch.autocast(leaves.rows.device.type, enabled=False):
        for start, stop in plan.spans():
            here = _local(rows, start, stop)
            block, logits, _, u = _pull(plan, leaves, here, incoming, upper, start, stop)
            at_peak += peak_share(u, here.where)
            p = (logits.detach() - rows.log_sum[:, None]).exp()
            others += others_share(p, u, here.where)
        at_peak, others = dist.all_reduce_(torch.stack([at_peak, others]))
        gap = at_peak * rows.rest - others
        for start, stop in plan.spans():
            here = _local(rows, start, stop)
            block, logits, direct, u = _pull(plan, leaves, here, incoming, upper, start, stop)
            place = plan.place(start, stop)
            sums.add(block, direct, place)
            p = (logits.detach() - rows.log_sum[:, None]).exp()
            grad = pmax_second(p, u, weight, at_peak, gap, here)
            sums.add(
                block,
                torch.autograd.grad(logits, block.tensors(), grad, allow_unused=True),
                place,
            )
    return sums.in_order(), rows.pmax * gap


def _pull(
    plan: Plan, leaves: Leaves, rows: Rows, incoming: Tensor, upper: Leaves, start: int, stop: int
) -> tuple[Leaves, Tensor, tuple[Tensor | None, ...], Tensor]:
    """One block's leaves, logits, the direct part of <upper, first gradient>, and u [N, k]."""
    block = _cut(plan, leaves, start, stop)
    weights = vars(upper) | (
        {} if upper.centres is None else {"centres": upper.centres[plan.place(start, stop)]}
    )
    with torch.enable_grad():
        logits = block_logits(plan, block, start)
        nowhere = torch.full_like(plan.columns, -1)
        h = first_gradient(logits.detach(), nowhere, rows, Incoming(None, None, incoming))
        h.requires_grad_()
        names = [name for name, value in vars(block).items() if value is not None]
        first = torch.autograd.grad(
            logits, block.tensors(), h, create_graph=True, allow_unused=True
        )
        total = h.new_zeros(())
        for name, value in zip(names, first, strict=True):
            if value is not None and weights[name] is not None:
                total = total + (weights[name] * value).sum()
    if not total.requires_grad:
        return block, logits, (None,) * len(names), torch.zeros_like(logits)
    *direct, u = torch.autograd.grad(
        total, [*block.tensors(), h], allow_unused=True, retain_graph=True
    )
    u = torch.zeros_like(logits) if u is None else u
    return block, logits, tuple(direct), u

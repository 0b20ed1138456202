# SPDX-License-Identifier: MIT
"""Gradients of the streamed statistics: each block is made again; pmax has a second derivative."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.head.blocks import NOWHERE, Leaves, Plan, Scratch, block_logits, scaled_cosines
from arcface_fair.head.softmax import (
    Incoming,
    Partials,
    Rows,
    constant_part,
    first_gradient,
    over_ranks,
    peak_share,
    pmax_second,
    refuse_second_order,
)

Grads = tuple[Tensor | None, ...]


class Streamed(torch.autograd.Function):
    """(ce, entropy, pmax) from one shard's sums, differentiable with respect to the Leaves.

    ``local_target`` [N] holds the target's logits where no target leaf does.
    """

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, partials: Partials, local_target: Tensor | None, *leaves: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Joins the shards' sums; two collectives."""
        target = leaves[2] if local_target is None else local_target
        rows = over_ranks(partials, target, plan.columns >= 0)
        ctx.plan = plan
        ctx.save_for_backward(*leaves, *rows)
        ctx.set_materialize_grads(False)
        return rows.ce, rows.entropy, rows.pmax

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Grads:  # type: ignore[override]
        """No collective; with a graph, only pmax's part goes on."""
        leaves, rows, incoming = (
            ctx.saved_tensors[:5],
            Rows(*ctx.saved_tensors[5:]),
            Incoming(*grads),
        )
        if not torch.is_grad_enabled():
            found = first_order(ctx.plan, Leaves(*leaves), rows, incoming)
            return (None, None, None, *found)
        parts: list[Grads] = []
        if incoming.ce is not None or incoming.entropy is not None:
            parts.append(_OnceOnly.apply(ctx.plan, rows, incoming.ce, incoming.entropy, *leaves))
        if incoming.pmax is not None:
            parts.append(_PmaxGradient.apply(ctx.plan, rows, incoming.pmax, *leaves))
        return (None, None, None, *_sum_of(parts))


def _sum_of(parts: list[Grads]) -> Grads:
    if len(parts) < 2:
        return parts[0] if parts else (None,) * 5
    return tuple(
        None if one is None or two is None else one + two for one, two in zip(*parts, strict=True)
    )


class _OnceOnly(torch.autograd.Function):
    """The gradient of ce and entropy when a graph is asked for: correct, and then a dead end."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, rows: Rows, ce: Tensor | None, entropy: Tensor | None, *leaves: Tensor
    ) -> Grads:
        return first_order(plan, Leaves(*leaves), rows, Incoming(ce, entropy, None))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:  # type: ignore[override]
        refuse_second_order()


class _PmaxGradient(torch.autograd.Function):
    """The gradient of pmax, itself differentiable; both passes make every block again."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, rows: Rows, incoming: Tensor, *leaves: Tensor) -> Grads:
        ctx.plan = plan
        ctx.save_for_backward(incoming, *leaves, *rows)
        ctx.set_materialize_grads(False)
        return first_order(plan, Leaves(*leaves), rows, Incoming(None, None, incoming))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upper: Tensor | None) -> Grads:  # type: ignore[override]
        incoming, *saved = ctx.saved_tensors
        leaves, rows = Leaves(*saved[:5]), Rows(*saved[5:])
        found, slope = second_order(ctx.plan, leaves, rows, incoming, Leaves(*upper))  # type: ignore[arg-type]
        return (None, None, slope, *found)


def first_order(plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming) -> Grads:
    """Gradients with respect to the leaves, in their order; None where there is no leaf."""
    with torch.no_grad(), torch.autocast(leaves.rows.device.type, enabled=False):
        if plan.scale is not None:
            return _quick(plan, leaves, rows, incoming)
        return _by_autograd(plan, leaves, rows, incoming)


def _quick(plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming) -> Grads:
    """For a target-only margin: three matrix products a block, in buffers used again."""
    assert plan.scale is not None
    assert leaves.target is not None
    constant = constant_part(rows, incoming)
    scaled = leaves.rows * plan.scale
    d_rows = torch.zeros_like(leaves.rows)
    d_centres = _like_weight(plan, leaves.centres)
    scratch = Scratch(leaves.rows, min(plan.block, plan.num_active), 3)
    for start, stop in plan.spans():
        z, grad, spare = scratch.matrices(stop - start)
        place = plan.place(start, stop)
        centres = leaves.centres[place]
        inverse, low = scaled_cosines(plan, scaled, centres, z)
        filtered = z > plan.threshold * plan.scale if plan.threshold > 0 else None
        if filtered is not None:
            z.masked_fill_(filtered, 0)
        z[plan.targets(start, stop)] = NOWHERE
        _block_gradient(z, rows, incoming, constant, grad, spare)
        _add_peak(grad, plan, rows, incoming, start)
        if filtered is not None:
            grad.masked_fill_(filtered, 0)
        _add_products(d_rows, d_centres, place, grad, z, spare, scaled, centres, inverse, low)
    d_rows.mul_(plan.scale)
    return d_rows, d_centres, _target_gradient(plan, leaves.target, rows, incoming), None, None


def _like_weight(plan: Plan, weight: Tensor) -> Tensor:
    """The gradient's buffer; rows that take no part stay zero."""
    return torch.empty_like(weight) if plan.index is None else torch.zeros_like(weight)


def _block_gradient(
    z: Tensor, rows: Rows, incoming: Incoming, constant: Tensor, grad: Tensor, spare: Tensor
) -> None:
    """grad = p (A - g_ent log p), with log p = z - lse and A the row's constant part."""
    torch.sub(z, rows.log_sum[:, None], out=grad)
    if incoming.entropy is None:
        grad.exp_().mul_(constant[:, None])
        return
    torch.mul(grad, -incoming.entropy[:, None], out=spare)
    spare.add_(constant[:, None])
    grad.exp_().mul_(spare)


def _add_peak(grad: Tensor, plan: Plan, rows: Rows, incoming: Incoming, start: int) -> None:
    """pmax's own column, unless it is the target's, which has a leaf of its own."""
    if incoming.pmax is None:
        return
    here = (rows.where >= start) & (rows.where < start + grad.shape[1])
    (at,) = torch.where(here & (rows.where != plan.columns))
    grad[at, rows.where[at] - start] += (incoming.pmax * rows.pmax)[at]


def _add_products(
    d_rows: Tensor,
    d_centres: Tensor,
    place: slice | Tensor,
    grad: Tensor,
    z: Tensor,
    spare: Tensor,
    scaled: Tensor,
    centres: Tensor,
    inverse: Tensor,
    low: Tensor | None,
) -> None:
    """Adds grad^T rows and grad centres, each through the centres' normalisation.

    d w_j = (sum_i g_ij s e_i - unit_j sum_i g_ij z_ij) / |w_j|: the part along the centre is a
    sum over the block that is there anyway, not a product with the centres.
    """
    grad.mul_(inverse)
    along = torch.mul(grad, z, out=spare).sum(0).mul_(inverse)
    if isinstance(place, slice):
        target = torch.mul(centres, -along[:, None], out=d_centres[place])
    else:
        target = centres * -along[:, None]
    if low is None:
        d_rows.addmm_(grad, centres)
        target.addmm_(grad.T, scaled)
    else:
        narrow = (grad / inverse).to(low.dtype)
        d_rows.add_(narrow @ low)
        scale = scaled.norm(dim=1).amax()
        product = narrow.T @ (scaled / scale).to(low.dtype)
        target.add_(product * (scale * inverse)[:, None])
    if not isinstance(place, slice):
        d_centres[place] = target


def _target_gradient(plan: Plan, target: Tensor, rows: Rows, incoming: Incoming) -> Tensor:
    """The gradient with respect to the target's logit [N]; 0 where another shard holds it."""
    owned = plan.columns >= 0
    log_p = torch.where(owned, target - rows.log_sum, 0)
    slope = constant_part(rows, incoming)
    if incoming.entropy is not None:
        slope = slope - incoming.entropy * log_p
    found = log_p.exp() * slope
    if incoming.ce is not None:
        found = found - incoming.ce
    if incoming.pmax is not None:
        found = found + torch.where(rows.where == plan.columns, incoming.pmax * rows.pmax, 0)
    return torch.where(owned, found, 0)


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

    def add(self, block: Leaves, found: tuple[Tensor | None, ...], place: slice | Tensor) -> None:
        names = [name for name, value in vars(block).items() if value is not None]
        for name, value in zip(names, found, strict=True):
            total = self.totals[name]
            if value is None or total is None:
                continue
            if name == "centres":
                total[place] += value
            else:
                total += value

    def in_order(self) -> Grads:
        return tuple(self.totals.values())


def _by_autograd(plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming) -> Grads:
    sums = _Sums(plan, leaves)
    for start, stop in plan.spans():
        block = _cut(plan, leaves, start, stop)
        with torch.enable_grad():
            logits = block_logits(plan, block, start)
        labels = _label_columns(plan, start, stop)
        grad = first_gradient(logits.detach(), labels, _local(rows, start, stop), incoming)
        found = torch.autograd.grad(logits, block.tensors(), grad, allow_unused=True)
        sums.add(block, found, plan.place(start, stop))
    return sums.in_order()


def second_order(
    plan: Plan, leaves: Leaves, rows: Rows, incoming: Tensor, upper: Leaves
) -> tuple[Grads, Tensor]:
    """Gradients of <upper, gradient of pmax> with respect to the leaves and to ``incoming``.

    Two streams: the first reduces sum_j u_ij a_ij and sum_j u_ij p_ij over blocks and ranks,
    where u is the gradient with respect to h = g P (a - p); the second applies the formula.
    """
    sums = _Sums(plan, leaves)
    at_peak = torch.zeros_like(rows.ce)
    mean = torch.zeros_like(rows.ce)
    weight = incoming * rows.pmax
    with torch.autocast(leaves.rows.device.type, enabled=False):
        for start, stop in plan.spans():
            here = _local(rows, start, stop)
            block, logits, _, u = _pull(plan, leaves, here, incoming, upper, start, stop)
            at_peak += peak_share(u, here.where)
            mean += ((logits.detach() - rows.log_sum[:, None]).exp() * u).sum(1)
        at_peak, mean = dist.all_reduce_(torch.stack([at_peak, mean]))
        for start, stop in plan.spans():
            here = _local(rows, start, stop)
            block, logits, direct, u = _pull(plan, leaves, here, incoming, upper, start, stop)
            place = plan.place(start, stop)
            sums.add(block, direct, place)
            p = (logits.detach() - rows.log_sum[:, None]).exp()
            grad = pmax_second(p, u, weight, at_peak, mean, here.where)
            sums.add(
                block,
                torch.autograd.grad(logits, block.tensors(), grad, allow_unused=True),
                place,
            )
    return sums.in_order(), rows.pmax * (at_peak - mean)


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

# SPDX-License-Identifier: MIT
"""The first gradient for target-only margins: three matrix products a block, buffers used again."""

from __future__ import annotations

import torch
from torch import Tensor

from arcface_fair.head.blocks import NOWHERE, Leaves, Plan, Scratch, scaled_cosines
from arcface_fair.head.softmax import Incoming, Rows, constant_part, peak_gradient


def quick_gradient(
    plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming
) -> tuple[Tensor | None, ...]:
    """Gradients with respect to the leaves, in their order; each block is made again."""
    assert plan.scale is not None
    assert leaves.target is not None
    assert plan.inverse is not None
    constant = constant_part(rows, incoming)
    scaled = leaves.rows * plan.scale
    d_rows = torch.zeros_like(leaves.rows)
    d_centres = _like_weight(plan, leaves.centres)
    scratch = Scratch(leaves.rows, min(plan.block, plan.num_active), 3)
    for start, stop in plan.spans():
        z, grad, spare = scratch.matrices(stop - start)
        place = plan.place(start, stop)
        centres = leaves.centres[place]
        inverse = plan.inverse[start:stop]
        low = scaled_cosines(plan, scaled, centres, inverse, z)
        filtered = z > plan.threshold * plan.scale if plan.threshold > 0 else None
        if filtered is not None:
            z.masked_fill_(filtered, 0)
        z[plan.targets(start, stop)] = NOWHERE
        _block_gradient(z, rows, incoming, constant, grad, spare)
        _put_peak(grad, plan, rows, incoming, start)
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


def _put_peak(grad: Tensor, plan: Plan, rows: Rows, incoming: Incoming, start: int) -> None:
    """The largest class's column, unless it is the target's, which has a leaf of its own."""
    here = (rows.where >= start) & (rows.where < start + grad.shape[1])
    (at,) = torch.where(here & (rows.where != plan.columns))
    grad[at, rows.where[at] - start] = peak_gradient(rows, incoming, torch.zeros_like(here))[at]


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
    gradient = log_p.exp() * slope
    if incoming.ce is not None:
        gradient = gradient - incoming.ce
    is_peak = rows.where == plan.columns
    gradient = torch.where(is_peak, peak_gradient(rows, incoming, is_peak), gradient)
    return torch.where(owned, gradient, 0)

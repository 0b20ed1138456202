# SPDX-License-Identifier: MIT
"""The streamed statistics as functions of autograd: pmax may be differentiated twice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arcface_fair.head.backward_any_margin import Grads, gradient_by_autograd, second_order
from arcface_fair.head.backward_target_margin import quick_gradient
from arcface_fair.head.blocks import Leaves, Plan
from arcface_fair.head.softmax import Incoming, Partials, Rows, over_ranks, refuse_second_order


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
            gradients = first_order(ctx.plan, Leaves(*leaves), rows, incoming)
            return (None, None, None, *gradients)
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
        gradients, slope = second_order(ctx.plan, leaves, rows, incoming, Leaves(*upper))  # type: ignore[arg-type]
        return (None, None, slope, *gradients)


def first_order(plan: Plan, leaves: Leaves, rows: Rows, incoming: Incoming) -> Grads:
    """Gradients with respect to the leaves, in their order; None where there is no leaf."""
    with torch.no_grad(), torch.autocast(leaves.rows.device.type, enabled=False):
        if plan.scale is not None:
            return quick_gradient(plan, leaves, rows, incoming)
        return gradient_by_autograd(plan, leaves, rows, incoming)

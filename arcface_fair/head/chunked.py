# SPDX-License-Identifier: MIT
"""The chunked kernel: classes stream by in blocks, [N, K] never exists.

Forward keeps log-sum-exp, E[z], target and maximum of each row; backward makes each block
again. Margins that change the target alone take a path with four matrix products and buffers
that are used again; any other margin is called once per block under autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.head.blocks import (
    NOWHERE,
    Leaves,
    Plan,
    Running,
    Scratch,
    block_logits,
    inverse_norms,
    scaled_cosines,
    with_target,
)
from arcface_fair.head.chunked_gradient import Streamed
from arcface_fair.head.cifp import CIFP, Pairs, PairSearch, cifp_target
from arcface_fair.head.margin import MarginContext, TargetMargin
from arcface_fair.head.softmax import LOWEST_LOG, Partials


def chunked_statistics(
    embeddings: Tensor,
    weight: Tensor,
    index: Tensor | None,
    columns: Tensor,
    margin: Callable[..., Tensor],
    *,
    block: int,
    groups: Tensor | None = None,
    product_dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(ce, entropy, pmax), each [N]: as ``dense_statistics``, ``block`` classes at a time."""
    base = margin.margin if isinstance(margin, CIFP) else margin
    plan = Plan(
        columns=columns,
        index=index,
        num_active=len(weight) if index is None else len(index),
        block=block,
        margin=margin,
        product_dtype=product_dtype,
    )
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = normalize(embeddings)
        if isinstance(base, TargetMargin):
            threshold = base.interclass_filtering_threshold
            plan = replace(plan, scale=base.s, threshold=threshold)
            return _target_only(plan, rows, weight, margin, base)
        return _any_margin(plan, rows, weight, embeddings.norm(dim=1), groups)


def _target_only(
    plan: Plan, rows: Tensor, weight: Tensor, margin: Callable[..., Tensor], base: TargetMargin
) -> tuple[Tensor, Tensor, Tensor]:
    (own,) = torch.where(plan.columns >= 0)
    weight, centres = split_centres(weight, _places(plan, plan.columns[own]))
    size = len(plan.columns)
    if isinstance(margin, CIFP):
        with torch.no_grad():
            cosine = (rows[own] * normalize(centres)).sum(1).clamp(-1, 1)
            plain = rows.new_zeros(size).index_put((own,), cosine)
            dist.all_reduce_(plain)
        search = PairSearch(plain, plan.columns)
        partials, inverse = stream_others(plan, rows, weight, search)
        pairs: Pairs = search.selected()
        weight, pair_centres = split_centres(weight, _places(plan, pairs.columns))
        logits = cifp_target(margin, rows, own, centres, pairs, pair_centres, plain)
    else:
        partials, inverse = stream_others(plan, rows, weight, None)
        cosine = (rows[own] * normalize(centres)).sum(1).clamp(-1, 1)
        logits = base.s * base.target(cosine)
    target = rows.new_zeros(size).index_put((own,), logits)
    partials = with_target(partials, target.detach(), plan.columns)
    plan = replace(plan, inverse=inverse)
    return Streamed.apply(plan, partials, None, rows, weight, target, None, None)


def _any_margin(
    plan: Plan, rows: Tensor, weight: Tensor, norms: Tensor, groups: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    context: MarginContext | None = None
    if getattr(plan.margin, "needs_context", False):
        (own,) = torch.where(plan.columns >= 0)
        weight, centres = split_centres(weight, _places(plan, plan.columns[own]))
        cosine = (rows[own] * normalize(centres)).sum(1).clamp(-1, 1)
        target = rows.new_zeros(len(rows)).index_put((own,), cosine)
        context = MarginContext(dist.sum_over_ranks(target), norms, groups)
        prepare = getattr(plan.margin, "prepare", None)
        context = context if prepare is None else prepare(context)
        plan = replace(plan, context=context)
    leaves = (
        rows,
        weight,
        None,
        None if context is None else context.target_cosine,
        None if context is None else context.norms,
    )
    partials, local_target = stream_all(plan, Leaves(*leaves))
    return Streamed.apply(plan, partials, local_target, *leaves)


def _places(plan: Plan, columns: Tensor) -> Tensor:
    return columns if plan.index is None else plan.index[columns]


@torch.no_grad()
def stream_others(
    plan: Plan, rows: Tensor, weight: Tensor, search: PairSearch | None
) -> tuple[Partials, Tensor]:
    """Sums over all classes but each row's own, for a target-only margin; 1 / norms [K]."""
    assert plan.scale is not None
    running, scratch = Running(rows), Scratch(rows, min(plan.block, plan.num_active), 2)
    scaled = rows * plan.scale
    inverse = rows.new_empty(plan.num_active)
    for start, stop in plan.spans():
        logits, spare = scratch.matrices(stop - start)
        centres = weight[plan.place(start, stop)]
        inverse[start:stop] = inverse_norms(centres)
        scaled_cosines(plan, scaled, centres, inverse[start:stop], logits)
        if search is not None:
            search.see(logits, start, plan.scale)
        if plan.threshold > 0:
            logits.masked_fill_(logits > plan.threshold * plan.scale, 0)
        logits[plan.targets(start, stop)] = NOWHERE
        running.add(logits, start, spare)
    return running.partials, inverse


@torch.no_grad()
def stream_all(plan: Plan, leaves: Leaves) -> tuple[Partials, Tensor]:
    """Sums over all classes for any margin, and the targets' logits [N] (0 elsewhere)."""
    running = Running(leaves.rows)
    target = leaves.rows.new_zeros(len(leaves.rows))
    for start, stop in plan.spans():
        centres = leaves.centres[plan.place(start, stop)]
        block = Leaves(**{**vars(leaves), "centres": centres})
        logits = block_logits(plan, block, start)
        own, column = plan.targets(start, stop)
        target[own] = logits[own, column]
        # A margin may return -inf for a class it leaves out; exp(-800) is 0 just as well.
        lowest = logits.amax(1, keepdim=True) + LOWEST_LOG
        running.add(torch.maximum(logits, lowest), start, torch.empty_like(logits))
    return running.partials, target


class _SplitCentres(torch.autograd.Function):
    """The weight, and some of its rows; the rows' gradient joins the weight's in place."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(places)
        ctx.shape = weight.shape
        ctx.set_materialize_grads(False)
        return weight.view_as(weight), weight[places]

    @staticmethod
    def backward(ctx: Any, whole: Tensor | None, some: Tensor | None) -> tuple[Any, None]:  # type: ignore[override]
        (places,) = ctx.saved_tensors
        if some is None:
            return whole, None
        if whole is None:
            whole = some.new_zeros(ctx.shape)
        if torch.is_grad_enabled():
            return whole.index_add(0, places, some), None
        return whole.index_add_(0, places, some), None


def split_centres(weight: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """(weight, weight[places]) whose gradients meet in one buffer of the weight's size."""
    return _SplitCentres.apply(weight, places)

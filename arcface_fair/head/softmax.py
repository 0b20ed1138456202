# SPDX-License-Identifier: MIT
"""Three numbers per row of a softmax whose classes are sharded over ranks, with their gradients.

    ce_i  = -log p[i, y_i]      ent_i = -sum_j p_ij log p_ij      pmax_i = max_j p_ij

N rows of the gathered batch, K classes on this rank, p the softmax over all ranks' classes.
Only vectors of length N travel between ranks, never [N, K]. First derivatives:

    d ce / dz = p - delta_y    d ent / dz = -p (log p + ent)    d pmax / dz = pmax (a - p)

with a the one-hot of the largest class (ties: the lowest class). pmax may be differentiated
twice, because gradient attention maps are trained through; ce and ent may not.

Where a row is confident, 1 - pmax is smaller than float32 resolves beside 1, and so are the
gradients of its logits. Nothing here subtracts a probability from 1: the mass of all classes but
the largest is summed by itself ("others"), and the largest class's column is written with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from arcface_fair import dist

# exp(-800) is 0 in float32 and float64, and 0 * -800 is 0 where 0 * -inf would be NaN.
LOWEST_LOG = -800.0
_CPU_ELEMENTS, _CUDA_ELEMENTS = 1 << 18, 1 << 26


class Partials(NamedTuple):
    """What one shard knows of each row, sums taken about the shard's own largest logit."""

    peak: Tensor  # [N] largest logit here, -inf without a class
    where: Tensor  # [N] its column, lowest on ties
    others: Tensor  # [N] sum of exp(z - peak) over all columns but ``where``
    moment: Tensor  # [N] sum of exp(z - peak) * (z - peak)


class Rows(NamedTuple):
    """The statistics of each row over all ranks, and what the backward needs to know."""

    ce: Tensor  # [N], NaN where no rank holds the row's label
    entropy: Tensor  # [N] nats
    pmax: Tensor  # [N] 0..1
    rest: Tensor  # [N] 1 - pmax, exact to its own rounding however small it is
    log_sum: Tensor  # [N] log sum exp z
    where: Tensor  # [N] this rank's column of the largest class, -1 elsewhere


class Incoming(NamedTuple):
    """Gradients with respect to ce, entropy and pmax, each [N] or None."""

    ce: Tensor | None
    entropy: Tensor | None
    pmax: Tensor | None


def softmax_statistics(local_logits: Tensor, local_labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ce, entropy, pmax), each [N], over the classes of all ranks; equal on all ranks.

    ``local_logits`` [N, K], after margin and scale; float16 and bfloat16 are promoted to
    float32. ``local_labels`` [N] or [N, 1]: columns of this shard, -1 where the class lives
    elsewhere; a row whose label no rank holds gives NaN. With sampled classes these are the
    statistics of the sampled softmax. Every rank must call it. ce is not clamped (upstream's
    stops at 69.078). Differentiating ce or entropy twice raises RuntimeError.
    """
    if local_logits.dtype in (torch.float16, torch.bfloat16):
        local_logits = local_logits.float()
    with torch.autocast(local_logits.device.type, enabled=False):
        ce, entropy, pmax = _Statistics.apply(local_logits, local_labels.reshape(-1))
    return ce, entropy, pmax


def over_ranks(partials: Partials, local_target: Tensor, owned: Tensor) -> Rows:
    """Joins the shards: ``local_target`` [N] holds the target's logit where ``owned`` [N]."""
    peaks = dist.gather_values(partials.peak)
    peak = peaks.amax(0)
    mine = peaks.argmax(0) == dist.rank()
    gap = (partials.peak - peak).clamp_min(LOWEST_LOG)
    factor = gap.exp()
    # Another shard's largest class is one of the others; -800 above leaves nothing of no class.
    mass = partials.others + (~mine).to(peak.dtype)
    sums = torch.stack(
        [
            mass * factor,
            (partials.moment + mass * gap) * factor,
            torch.where(owned, local_target - peak, 0),
            owned.to(peak.dtype),
        ]
    )
    others, moment, target, owners = dist.all_reduce_(sums)
    total, log_total = 1 + others, others.log1p()
    return Rows(
        ce=torch.where(owners == 1, log_total - target, torch.nan),
        entropy=log_total - moment / total,
        pmax=1 / total,
        rest=others / total,
        log_sum=peak + log_total,
        where=torch.where(mine, partials.where, -1),
    )


def partials_of(logits: Tensor) -> Partials:
    """One shard's sums of ``logits`` [N, K]; a K of 0 is a shard without an active class."""
    rows, columns = logits.shape
    if columns == 0:
        empty = logits.new_zeros(rows)
        nowhere = torch.zeros(rows, dtype=torch.int64, device=logits.device)
        return Partials(empty - torch.inf, nowhere, empty, empty)
    peak, where = logits.max(1)
    others, moment = torch.empty_like(peak), torch.empty_like(peak)
    for part in row_slices(logits):
        below = (logits[part] - peak[part, None]).clamp_min_(LOWEST_LOG)
        share = below.exp().scatter_(1, where[part, None], 0)
        others[part] = share.sum(1)
        moment[part] = share.mul_(below).sum(1)
    return Partials(peak, where, others, moment)


def row_slices(logits: Tensor) -> list[slice]:
    """Cuts the rows so that one slice's temporaries stay small (in cache, on a CPU)."""
    elements = _CUDA_ELEMENTS if logits.is_cuda else _CPU_ELEMENTS
    step = max(1, elements // max(1, logits.shape[1]))
    return [slice(start, start + step) for start in range(0, logits.shape[0], step)]


def first_gradient(logits: Tensor, labels: Tensor, rows: Rows, incoming: Incoming) -> Tensor:
    """The gradient with respect to this shard's ``logits`` [N, K], by the formulas above."""
    gradient = torch.empty_like(logits)
    constant = constant_part(rows, incoming)
    for part in row_slices(logits):
        log_p = (logits[part] - rows.log_sum[part, None]).clamp_min_(LOWEST_LOG)
        torch.exp(log_p, out=gradient[part])
        if incoming.entropy is None:
            gradient[part] *= constant[part, None]
        else:
            log_p.mul_(-incoming.entropy[part, None]).add_(constant[part, None])
            gradient[part] *= log_p
    if incoming.ce is not None:
        add_at(gradient, labels, -incoming.ce)
    put_at(gradient, rows.where, peak_gradient(rows, incoming, labels == rows.where))
    return gradient


def peak_gradient(rows: Rows, incoming: Incoming, is_target: Tensor) -> Tensor:
    """The gradient at each row's largest class, [N]; ``is_target`` bool [N]: it is the label.

    With P = pmax and R = 1 - P:  -g_ce R at the label, else g_ce P;  -g_ent P (log P + ent);
    g_pmax P R.
    """
    gradient = torch.zeros_like(rows.ce)
    if incoming.ce is not None:
        gradient = incoming.ce * torch.where(is_target, -rows.rest, rows.pmax)
    if incoming.entropy is not None:
        log_pmax = (-rows.rest).log1p()
        gradient = gradient - incoming.entropy * rows.pmax * (log_pmax + rows.entropy)
    if incoming.pmax is not None:
        gradient = gradient + incoming.pmax * rows.pmax * rows.rest
    return gradient


def constant_part(rows: Rows, incoming: Incoming) -> Tensor:
    """The row's A in dz = p (A - g_ent log p) + the one-hot terms; [N]."""
    constant = torch.zeros_like(rows.ce)
    if incoming.ce is not None:
        constant = constant + incoming.ce
    if incoming.entropy is not None:
        constant = constant - incoming.entropy * rows.entropy
    if incoming.pmax is not None:
        constant = constant - incoming.pmax * rows.pmax
    return constant


def add_at(matrix: Tensor, columns: Tensor, values: Tensor) -> None:
    """Adds ``values`` [N] in place at one column per row; a column of -1 is left out."""
    (rows,) = torch.where(columns >= 0)
    matrix[rows, columns[rows]] += values[rows]


def put_at(matrix: Tensor, columns: Tensor, values: Tensor) -> None:
    """As `add_at`, in place of what is there."""
    (rows,) = torch.where(columns >= 0)
    matrix[rows, columns[rows]] = values[rows]


class _Statistics(torch.autograd.Function):
    """Keeps the logits, a reference that costs nothing; p is recomputed from log-sum-exp."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        owned = labels >= 0
        at_label = labels.clamp_min(0)[:, None]
        target = (
            logits.gather(1, at_label)[:, 0] if logits.shape[1] else logits.new_zeros(len(labels))
        )
        rows = over_ranks(partials_of(logits), target, owned)
        ctx.save_for_backward(logits, labels, *rows)
        ctx.set_materialize_grads(False)
        return rows.ce, rows.entropy, rows.pmax

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:  # type: ignore[override]
        logits, labels, *saved = ctx.saved_tensors
        rows, incoming = Rows(*saved), Incoming(*grads)
        if not torch.is_grad_enabled():
            return first_gradient(logits, labels, rows, incoming), None
        parts = []
        if incoming.ce is not None or incoming.entropy is not None:
            parts.append(_OnceOnly.apply(logits, incoming.ce, incoming.entropy, labels, rows))
        if incoming.pmax is not None:
            parts.append(_PmaxGradient.apply(logits, incoming.pmax, rows))
        return (sum(parts[1:], parts[0]) if parts else None), None


class _OnceOnly(torch.autograd.Function):
    """The gradient of ce and entropy when a graph is asked for: correct, and then a dead end."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        ce: Tensor | None,
        entropy: Tensor | None,
        labels: Tensor,
        rows: Rows,
    ) -> Tensor:
        return first_gradient(logits, labels, rows, Incoming(ce, entropy, None))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:  # type: ignore[override]
        refuse_second_order()


def refuse_second_order() -> None:
    """Raises: a second derivative of ce or entropy was asked for."""
    raise RuntimeError(
        "ce or entropy of the head was differentiated twice, but only pmax has a second "
        "derivative; build the penalty from (ce - entropy), which needs one backward pass"
    )


class _PmaxGradient(torch.autograd.Function):
    """h = g P (a - p), and its own derivative with respect to z and g."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, incoming: Tensor, rows: Rows) -> Tensor:
        ctx.save_for_backward(logits, incoming, *rows)
        nowhere = torch.full_like(rows.where, -1)
        return first_gradient(logits, nowhere, rows, Incoming(None, None, incoming))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        logits, incoming, *saved = ctx.saved_tensors
        rows = Rows(*saved)
        p = (logits - rows.log_sum[:, None]).exp_()
        sums = torch.stack([peak_share(upper, rows.where), others_share(p, upper, rows.where)])
        at_peak, others = dist.all_reduce_(sums)
        gap = at_peak * rows.rest - others
        weight = incoming * rows.pmax
        return pmax_second(p, upper, weight, at_peak, gap, rows), rows.pmax * gap, None


def peak_share(upper: Tensor, where: Tensor) -> Tensor:
    """sum_j u_ij a_ij of this shard: u at the largest class, 0 where it lives elsewhere."""
    if upper.shape[1] == 0:
        return upper.new_zeros(len(where))
    return torch.where(where >= 0, upper.gather(1, where.clamp_min(0)[:, None])[:, 0], 0)


def others_share(p: Tensor, upper: Tensor, where: Tensor) -> Tensor:
    """sum_j u_ij p_ij of this shard over all classes but the largest; [N]."""
    product = upper * p
    put_at(product, where, torch.zeros_like(where, dtype=product.dtype))
    return product.sum(1)


def pmax_second(
    p: Tensor, upper: Tensor, weight: Tensor, at_peak: Tensor, gap: Tensor, rows: Rows
) -> Tensor:
    """g P [(a - p)(ua - ub) - p (u - ub)], [N, K], with ub = sum_j p_j u_j.

    ``weight`` is g P, ``at_peak`` ua, u at the largest class, and ``gap`` ua - ub, which is
    ua (1 - P) - sum of the others' p u. So the others' columns are -g P p (u - ua + 2 gap), and
    the largest class's is g P gap (1 - 2 P).
    """
    result = (upper - (at_peak - 2 * gap)[:, None]).mul_(p).mul_(-weight[:, None])
    put_at(result, rows.where, weight * gap * (2 * rows.rest - 1))
    return result

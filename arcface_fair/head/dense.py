# SPDX-License-Identifier: MIT
"""The dense kernel: cosines [N, K] as one matrix, autograd all the way, upstream's numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize

from arcface_fair import dist
from arcface_fair.head.cifp import CIFP, PairSearch, cifp_target
from arcface_fair.head.margin import MarginContext
from arcface_fair.head.softmax import softmax_statistics


def dense_statistics(
    embeddings: Tensor,
    weight: Tensor,
    index: Tensor | None,
    columns: Tensor,
    margin: Callable[..., Tensor],
    *,
    groups: Tensor | None = None,
    product_dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(ce, entropy, pmax), each [N], from gathered embeddings [N, D] and a shard [num_local, D].

    ``index``: the active rows, None for all; ``columns`` [N]: each row's label among them, -1
    elsewhere. ``product_dtype``: precision of the matrix product, None for the embeddings' own.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        centres = normalize(weight if index is None else weight[index])
        rows = normalize(embeddings)
        if product_dtype is None:
            cosines = linear(rows, centres)
        else:
            cosines = linear(rows.to(product_dtype), centres.to(product_dtype)).to(rows.dtype)
        cosines = cosines.clamp(-1, 1)
        if isinstance(margin, CIFP):
            logits = _with_cifp(margin, rows, centres, cosines, columns)
        elif getattr(margin, "needs_context", False):
            context = _context(cosines, columns, embeddings, groups)
            prepare = getattr(margin, "prepare", None)
            context = context if prepare is None else prepare(context)
            logits = margin(cosines, columns[:, None], context)
        else:
            logits = margin(cosines, columns[:, None])
        return softmax_statistics(logits, columns)


def _with_cifp(
    cifp: CIFP, rows: Tensor, centres: Tensor, cosines: Tensor, columns: Tensor
) -> Tensor:
    (own,) = torch.where(columns >= 0)
    with torch.no_grad():
        plain = cosines.new_zeros(len(columns))
        plain[own] = cosines[own, columns[own]]
        dist.all_reduce_(plain)
        search = PairSearch(plain, columns)
        search.see(cosines, 0)
        pairs = search.selected()
    own_centres, pair_centres = centres[columns[own]], centres[pairs.columns]
    target = cifp_target(cifp, rows, own, own_centres, pairs, pair_centres, plain)
    logits = cifp.margin(cosines, torch.full_like(columns, -1))
    return logits.index_put((own, columns[own]), target)


def _context(
    cosines: Tensor, columns: Tensor, embeddings: Tensor, groups: Tensor | None
) -> MarginContext:
    (rows,) = torch.where(columns >= 0)
    target = cosines.new_zeros(len(columns)).index_put((rows,), cosines[rows, columns[rows]])
    return MarginContext(dist.sum_over_ranks(target), embeddings.norm(dim=1), groups)

# SPDX-License-Identifier: MIT
"""The dense kernel: cosines [N, K] as one matrix, autograd all the way, upstream's numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize

from arcface_fair import dist
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
        if product_dtype is not None:
            rows, centres = rows.to(product_dtype), centres.to(product_dtype)
        cosines = linear(rows, centres)
        if product_dtype is not None:
            cosines = cosines.float()
        cosines = cosines.clamp(-1, 1)
        if getattr(margin, "needs_context", False):
            context = _context(cosines, columns, embeddings, groups)
            prepare = getattr(margin, "prepare", None)
            context = context if prepare is None else prepare(context)
            logits = margin(cosines, columns[:, None], context)
        else:
            logits = margin(cosines, columns[:, None])
        return softmax_statistics(logits, columns)


def _context(
    cosines: Tensor, columns: Tensor, embeddings: Tensor, groups: Tensor | None
) -> MarginContext:
    (rows,) = torch.where(columns >= 0)
    target = cosines.new_zeros(len(columns)).index_put((rows,), cosines[rows, columns[rows]])
    return MarginContext(dist.sum_over_ranks(target), embeddings.norm(dim=1), groups)

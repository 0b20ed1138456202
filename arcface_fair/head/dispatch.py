# SPDX-License-Identifier: MIT
"""Chooses between the two kernels, and the size of a block from a memory budget."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.head.chunked import chunked_statistics
from arcface_fair.head.cifp import CIFP
from arcface_fair.head.dense import dense_statistics
from arcface_fair.head.margin import TargetMargin

KERNELS = ("auto", "dense", "chunked")
# Matrices [N, columns] alive at once: cosines, logits, p and gradient; measured, see benchmarks.
_DENSE_MATRICES, _QUICK_MATRICES, _AUTOGRAD_MATRICES = 6, 4, 10
# On a CPU a block should stay in cache; more columns than this only cost memory.
_CPU_COLUMNS, _FEWEST_COLUMNS = 2048, 64


def check_kernel(kernel: str, memory_budget_mib: float, margin: Callable[..., Tensor]) -> None:
    """Raises UserError for an unknown kernel, a budget below 1 MiB, or a margin it cannot run."""
    if kernel not in KERNELS:
        raise UserError(f"kernel is {kernel!r}, expected one of {', '.join(KERNELS)}; use 'auto'")
    if not memory_budget_mib >= 1:
        raise UserError(f"memory_budget_mib is {memory_budget_mib}, expected at least 1; use 64")
    if kernel == "chunked" and getattr(margin, "needs_all_columns", False):
        raise UserError(
            f"the margin {type(margin).__name__} needs all columns at once, which kernel "
            "'chunked' never holds, expected one that treats columns alone; use kernel 'dense'"
        )


def kernel_statistics(
    embeddings: Tensor,
    weight: Tensor,
    index: Tensor | None,
    columns: Tensor,
    margin: Callable[..., Tensor],
    *,
    kernel: str,
    budget_bytes: int,
    block_columns: int | None = None,
    groups: Tensor | None = None,
    product_dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(ce, entropy, pmax), each [N], by the kernel that ``kernel`` names.

    ``block_columns``: classes per block of the chunked kernel, None for the budget's choice.

    Ranks may choose differently: both kernels make the same collective calls.
    """
    num_active = len(weight) if index is None else len(index)
    row_bytes = len(embeddings) * embeddings.element_size()
    if kernel == "auto":
        fits = row_bytes * num_active * _DENSE_MATRICES <= budget_bytes
        whole = getattr(margin, "needs_all_columns", False)
        kernel = "dense" if fits or whole else "chunked"
    common = (embeddings, weight, index, columns, margin)
    if kernel == "dense":
        return dense_statistics(*common, groups=groups, product_dtype=product_dtype)
    quick = isinstance(margin, TargetMargin | CIFP)
    per_column = row_bytes * (_QUICK_MATRICES if quick else _AUTOGRAD_MATRICES)
    if index is not None or not quick:
        per_column += 3 * weight.shape[1] * weight.element_size()  # the block's centres, copied
    block = max(_FEWEST_COLUMNS, budget_bytes // per_column)
    if not embeddings.is_cuda:
        block = min(block, _CPU_COLUMNS)
    block = block if block_columns is None else block_columns
    return chunked_statistics(*common, block=block, groups=groups, product_dtype=product_dtype)

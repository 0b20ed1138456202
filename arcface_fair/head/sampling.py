# SPDX-License-Identifier: MIT
"""Which classes live on which rank, with which first values, and which take part in a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_CLASSES_PER_DRAW = 1024
_INITIAL_STD = 0.01


@dataclass(frozen=True)
class Active:
    """This shard's classes of one step; two passes of a step may share it.

    ``index``: local rows, int64, sorted, each once; None for all of them.
    """

    index: Tensor | None = None


def shard_of(num_classes: int, rank: int, world_size: int) -> range:
    """Class ids held by ``rank``; lower ranks take the remainder, one each."""
    size, extra = divmod(num_classes, world_size)
    start = rank * size + min(rank, extra)
    return range(start, start + size + (rank < extra))


def initial_rows(classes: range, num_classes: int, width: int, seed: int) -> Tensor:
    """N(0, 0.01) rows [len(classes), width], drawn per global class.

    A class gets the same row whatever the world size: rows are drawn in blocks of classes, each
    block from a generator of its own, and cut afterwards.
    """
    rows = torch.empty(len(classes), width)
    first = classes.start - classes.start % _CLASSES_PER_DRAW
    for start in range(first, classes.stop, _CLASSES_PER_DRAW):
        stop = min(start + _CLASSES_PER_DRAW, num_classes)
        generator = torch.Generator().manual_seed(_seed_of(seed, start // _CLASSES_PER_DRAW))
        block = torch.randn(stop - start, width, generator=generator).mul_(_INITIAL_STD)
        low, high = max(start, classes.start), min(stop, classes.stop)
        rows[low - classes.start : high - classes.start] = block[low - start : high - start]
    return rows


def _seed_of(seed: int, block: int) -> int:
    # Mixed, or block 0 would repeat what torch.manual_seed(seed) draws: embeddings or network
    # weights drawn after it would be equal to class centres.
    return ((seed * 1_000_003 + block + 1) * 0x9E3779B97F4A7C15) % 2**63


def draw(local_labels: Tensor, num_local: int, num_sample: int) -> Tensor:
    """Sorted local rows [max(num_sample, positives)]: every positive, then random negatives.

    ``local_labels`` [N]: this shard's rows, -1 elsewhere. Draws from torch's global generator
    of the labels' device, as upstream does, so a resumed run draws what it would have drawn.
    """
    positive = torch.unique(local_labels[local_labels >= 0])
    chance = torch.rand(num_local, device=local_labels.device)
    if len(positive) >= num_sample:
        return positive
    chance[positive] = 2.0
    return chance.topk(num_sample).indices.sort().values


def local_columns(labels: Tensor, classes: range, active: Active) -> Tensor:
    """Columns of this shard's active classes for global ``labels`` [N]; -1 elsewhere."""
    local = labels - classes.start
    local = torch.where((local >= 0) & (local < len(classes)), local, -1)
    if active.index is None:
        return local
    if len(active.index) == 0:
        return torch.full_like(local, -1)
    column = torch.searchsorted(active.index, local.clamp_min(0)).clamp_max(len(active.index) - 1)
    return torch.where((local >= 0) & (active.index[column] == local), column, -1)

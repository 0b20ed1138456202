# SPDX-License-Identifier: MIT
"""Compares partitions of identities, and makes those that need no learning.

C identities, K subsets; 255 marks an identity that belongs to no subset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from arcface_fair.errors import UserError

NOT_LEARNED = 255
MAX_SUBSETS = 254


@dataclass(frozen=True)
class Partition:
    """Which subset each identity belongs to.

    subset uint8 [C] in 0..subsets-1 or 255 = none; confidence float32 [C], the soft weight of that
    subset, 0..1 (0 where none); objective: what was maximised, at the end (NaN if nothing was);
    history: one dict per pass with "step", "objective", "changed" (share of identities that
    changed subset), "learning_rate"; report: counts by name.
    """

    subset: np.ndarray
    confidence: np.ndarray
    subsets: int
    objective: float = float("nan")
    history: list[dict[str, float]] = field(default_factory=list)
    report: dict[str, int | float | str] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """Identities in each subset."""
        known = self.subset[self.subset != NOT_LEARNED]
        return np.bincount(known, minlength=self.subsets).tolist()


class Agreement(NamedTuple):
    """How alike two partitions are, over the identities that both know; 0..1 each."""

    nmi: float
    best_match_accuracy: float


def agreement(a: np.ndarray, b: np.ndarray) -> Agreement:
    """Normalised mutual information and the accuracy under the best renaming of subsets.

    a, b: whole numbers [C], 255 or negative = unknown. NMI = I(a; b) / ((H(a) + H(b)) / 2), 0 where
    both are constant. The best match maps subsets one to one; where one side has more, the rest
    count as wrong. NaN where no identity is known to both.
    """
    a, b = np.asarray(a).astype(np.int64), np.asarray(b).astype(np.int64)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(
            f"partitions have shapes {a.shape} and {b.shape}, expected one value per identity in "
            "both; compare partitions of the same record"
        )
    known = (a != NOT_LEARNED) & (b != NOT_LEARNED) & (a >= 0) & (b >= 0)
    if not known.any():
        return Agreement(float("nan"), float("nan"))
    table = _contingency(a[known], b[known])
    return Agreement(_nmi(table), float(_best_match(table) / table.sum()))


def _contingency(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    width = int(b.max()) + 1
    return np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _nmi(table: np.ndarray) -> float:
    rows, columns = _entropy(table.sum(1)), _entropy(table.sum(0))
    if rows + columns == 0:
        return 0.0
    shared = rows + columns - _entropy(table)
    return float(np.clip(2 * shared / (rows + columns), 0.0, 1.0))


def _best_match(table: np.ndarray) -> int:
    """Largest sum of entries of which no two share a row or a column.

    Rows are added one at a time by the cheapest chain of reassignments (the Hungarian method), with
    prices on rows and columns that keep every reduced cost non-negative.
    """
    table = table if table.shape[0] <= table.shape[1] else table.T
    height, width = table.shape
    cost = (table.max() - table).astype(np.float64)
    row_price, column_price = np.zeros(height), np.zeros(width)
    owner = np.full(width, -1)
    for new_row in range(height):
        _add_row(cost, new_row, owner, row_price, column_price)
    taken = np.flatnonzero(owner >= 0)
    return int(table[owner[taken], taken].sum())


def _add_row(
    cost: np.ndarray, row: int, owner: np.ndarray, row_price: np.ndarray, column_price: np.ndarray
) -> None:
    """Gives ``row`` a column by the shortest augmenting path; changes owner and prices."""
    width = len(owner)
    distance, source = np.full(width, np.inf), np.full(width, -1)
    done = np.zeros(width, dtype=bool)
    current, current_row, reached = -1, row, 0.0
    while True:
        through = reached + cost[current_row] - row_price[current_row] - column_price
        better = ~done & (through < distance)
        distance[better], source[better] = through[better], current
        current = int(np.where(done, np.inf, distance).argmin())
        reached = float(distance[current])
        if owner[current] < 0:
            break
        done[current] = True
        current_row = int(owner[current])
    row_price[row] += reached
    row_price[owner[done]] += reached - distance[done]
    column_price[done] -= reached - distance[done]
    while current >= 0:
        previous = int(source[current])
        owner[current] = row if previous < 0 else owner[previous]
        current = previous


def check_subsets(subsets: int, num_identities: int) -> None:
    """Refuses a number of subsets that cannot be."""
    if isinstance(subsets, bool) or not isinstance(subsets, int):
        raise UserError(f"subsets is {subsets!r}, expected a whole number from 2; set it to 2")
    if not 2 <= subsets <= MAX_SUBSETS:
        raise UserError(
            f"subsets is {subsets}, expected 2..{MAX_SUBSETS}; a partition needs at least two "
            "subsets, set it to 2"
        )
    if num_identities < subsets:
        raise UserError(
            f"{num_identities} identities with images cannot fill {subsets} subsets, expected at "
            "least one identity per subset; lower subsets or train on more identities"
        )


def random_partition(num_classes: int, subsets: int, seed: int) -> Partition:
    """The control: identities dealt at random, subset sizes differing by at most one."""
    check_subsets(subsets, num_classes)
    dealt = np.arange(num_classes) % subsets
    subset = np.random.default_rng(seed).permutation(dealt).astype(np.uint8)
    return Partition(subset, np.ones(num_classes, np.float32), subsets, report={"source": "random"})


def shuffled_partition(partition: Partition, seed: int) -> Partition:
    """The sharper control: a partition's own subset sizes, its members drawn at random."""
    known = partition.subset != NOT_LEARNED
    subset = partition.subset.copy()
    subset[known] = np.random.default_rng(seed).permutation(subset[known])
    confidence = known.astype(np.float32)
    return Partition(subset, confidence, partition.subsets, report={"source": "shuffled"})


def table_partition(codes: np.ndarray) -> Partition:
    """Ground truth: codes int64 [C] of a known attribute, 0..K-1, negative = unknown."""
    codes = np.asarray(codes)
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        raise UserError(
            f"codes have shape {codes.shape} and dtype {codes.dtype}, expected one whole number "
            "per identity; pass the codes of one column of the group table"
        )
    known = codes >= 0
    subsets = int(codes[known].max()) + 1 if known.any() else 0
    check_subsets(subsets, int(known.sum()))
    subset = np.where(known, codes, NOT_LEARNED).astype(np.uint8)
    return Partition(subset, known.astype(np.float32), subsets, report={"source": "table"})

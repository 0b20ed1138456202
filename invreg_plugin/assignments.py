# SPDX-License-Identifier: MIT
"""Compares partitions of identities, and makes those that need no learning.

C identities, K subsets; 255 marks an identity that belongs to no subset.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation.agreement import Agreement
from arcface_fair.evaluation.agreement import agreement as compare

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


def agreement(a: np.ndarray, b: np.ndarray) -> Agreement:
    """`arcface_fair.evaluation.agreement` of partitions in which 255 (uint8) means unknown too."""
    return compare(*(_negative_where_unknown(np.asarray(side)) for side in (a, b)))


def _negative_where_unknown(subset: np.ndarray) -> np.ndarray:
    # Only a uint8 array is a partition; in the codes of an attribute 255 is a value like others.
    if subset.dtype != np.uint8:
        return subset
    return np.where(subset == NOT_LEARNED, -1, subset.astype(np.int64))


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

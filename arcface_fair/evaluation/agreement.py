# SPDX-License-Identifier: MIT
"""How alike two partitions of the same identities are, whatever their subsets are called.

C identities; a negative number marks an identity that belongs to no subset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from arcface_fair.errors import UserError


class Agreement(NamedTuple):
    """How alike two partitions are, over the identities that both know; 0..1 each."""

    nmi: float
    best_match_accuracy: float


def agreement(a: np.ndarray, b: np.ndarray) -> Agreement:
    """Normalised mutual information and the accuracy under the best renaming of subsets.

    a, b: whole numbers [C], negative = unknown. NMI = I(a; b) / ((H(a) + H(b)) / 2), 0 where
    both are constant. The best match maps subsets one to one; where one side has more, the rest
    count as wrong. NaN where no identity is known to both. Raises UserError for other shapes.
    """
    a, b = np.asarray(a).astype(np.int64), np.asarray(b).astype(np.int64)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(
            f"partitions have shapes {a.shape} and {b.shape}, expected one value per identity in "
            "both; compare partitions of the same record"
        )
    known = (a >= 0) & (b >= 0)
    if not known.any():
        return Agreement(float("nan"), float("nan"))
    table = _table(_ranked(a[known]), _ranked(b[known]))
    return Agreement(_nmi(table), float(_best_match(table) / table.sum()))


def chance_agreement(a: np.ndarray, b: np.ndarray, *, shuffles: int = 100, seed: int = 0) -> float:
    """The NMI that ``b`` with its values dealt anew reaches in 95 of 100 cases at most.

    Finite samples share some information by chance, the more the more values they have; an NMI
    below this one shows nothing. Arguments as in :func:`agreement`.
    """
    known = (a >= 0) & (b >= 0)
    if not known.any():
        return float("nan")
    first, second = _ranked(a[known]), _ranked(b[known])
    generator = np.random.default_rng(seed)
    found = [_nmi(_table(first, generator.permutation(second))) for _ in range(shuffles)]
    return float(np.quantile(found, 0.95))


def _ranked(values: np.ndarray) -> np.ndarray:
    """The values renamed to 0, 1, ... without gaps."""
    return np.unique(values, return_inverse=True)[1]


def _table(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of ranked values occurs, int64 [values of a, values of b]."""
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
    """Largest sum of entries of which no two share a row or a column."""
    return int(table[linear_sum_assignment(table, maximize=True)].sum())

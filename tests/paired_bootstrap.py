# SPDX-License-Identifier: MIT
"""How sure a difference between two models is, from the pairs on which both were judged.

P pairs, S runs (seeds) of a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from arcface_fair.errors import UserError


@dataclass(frozen=True)
class Interval:
    """A difference of accuracies (-1..1) and the percentile interval around it."""

    difference: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.difference:+.2f} [{low:+.2f}, {high:+.2f}] points"


def paired_bootstrap(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    *,
    level: float = 0.9,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of accuracy(a) - accuracy(b), drawing pairs with replacement.

    correct_a, correct_b: whether each pair was judged rightly, [P], or [S, P] for several runs,
    whose mean is taken per pair first (the numbers of runs may differ). Pairs are drawn as if
    they were independent; pairs that share people make the true interval wider.
    Raises UserError if the two were not judged on the same number of pairs.
    """
    a, b = (np.atleast_2d(np.asarray(x, np.float64)).mean(0) for x in (correct_a, correct_b))
    if a.shape != b.shape or not a.size:
        raise UserError(
            f"{a.size} pairs of one model cannot be paired with {b.size} of the other; "
            "judge both on the same, non-empty set"
        )
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1, 0.9 is usual")
    # Few distinct values occur, and how often each is drawn is multinomial: the same
    # distribution as drawing P indices, at a fraction of the cost.
    values, counts = np.unique(a - b, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(a.size, counts / a.size, size=resamples)
    means = drawn @ values / a.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float((a - b).mean()), float(low), float(high), level)

# SPDX-License-Identifier: MIT
"""Differences paired by seed, their t-intervals, and the share of a gap that a row closes.

S seeds. A t-interval is over everything that a seed draws: people, context, start of training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """Mean of S paired differences and its t-interval; low and high are NaN for S = 1."""

    value: float
    low: float
    high: float
    by_seed: dict[int, float]

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


def paired(
    first: Mapping[int, float], second: Mapping[int, float], level: float = LEVEL
) -> Paired | None:
    """``first - second`` over the seeds that both have; None where there is none."""
    seeds = [seed for seed in sorted(first) if seed in second]
    if not seeds:
        return None
    by_seed = {seed: first[seed] - second[seed] for seed in seeds}
    values = np.array(list(by_seed.values()))
    half = t_quantile(level, len(values) - 1) * _standard_error(values)
    mean = float(values.mean())
    return Paired(mean, mean - half, mean + half, by_seed)


def share_closed(
    row: Mapping[int, float],
    baseline: Mapping[int, float],
    ceiling: Mapping[int, float],
    level: float = LEVEL,
) -> Paired | None:
    """(row - baseline) / (ceiling - baseline): ratio of means, with Fieller's interval.

    The interval holds every r for which the mean of (row - baseline) - r (ceiling - baseline) is
    within t standard errors of 0 (Fieller, 1954). None unless the gap itself is positive with its
    whole interval (for one seed: positive), since a share of no gap says nothing.
    """
    gap, gain = paired(ceiling, baseline, level), paired(row, baseline, level)
    if gap is None or gain is None:
        return None
    seeds = [seed for seed in gain.by_seed if seed in gap.by_seed]
    if not seeds:
        return None
    y = np.array([gain.by_seed[seed] for seed in seeds])
    x = np.array([gap.by_seed[seed] for seed in seeds])
    if x.mean() <= 0 or (len(seeds) > 1 and not gap.above):
        return None
    by_seed = {s: float(a / b) if b else math.nan for s, a, b in zip(seeds, y, x, strict=True)}
    low, high = _fieller(y, x, level)
    return Paired(float(y.mean() / x.mean()), low, high, by_seed)


def _fieller(y: np.ndarray, x: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of the r with mean(y - r x)^2 <= t^2 var(y - r x) / S; NaN for one seed, or no end."""
    count = len(x)
    if count < 2:
        return math.nan, math.nan
    factor = t_quantile(level, count - 1) ** 2 / count
    covariance = np.cov(x, y)
    a = x.mean() ** 2 - factor * covariance[0, 0]
    b = x.mean() * y.mean() - factor * covariance[0, 1]
    c = y.mean() ** 2 - factor * covariance[1, 1]
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return math.nan, math.nan
    root = math.sqrt(inside)
    return float((b - root) / a), float((b + root) / a)


@cache
def t_quantile(level: float, freedom: int) -> float:
    """t with P(-t <= T <= t) = level at ``freedom`` degrees of freedom; NaN at none."""
    from scipy.special import stdtrit  # scipy.stats has it too, after seconds of imports

    return float(stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else math.nan


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan

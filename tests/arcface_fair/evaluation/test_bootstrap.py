# SPDX-License-Identifier: MIT
"""Intervals are those of drawing pairs one by one, and cover the truth as often as they say."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.bootstrap import paired_bootstrap


def judgements(pairs, rate_a, rate_b, rng):
    ease = rng.random(pairs)
    return ease < rate_a, ease + 0.1 * rng.normal(size=pairs) < rate_b


def test_interval_is_that_of_drawing_pairs_one_by_one():
    rng = np.random.default_rng(0)
    a, b = judgements(200, 0.85, 0.75, rng)
    draws = rng.integers(0, 200, size=(20_000, 200))
    means = (a.astype(float) - b)[draws].mean(1)
    interval = paired_bootstrap(a, b, level=0.9, resamples=20_000)
    assert interval.difference == pytest.approx(a.mean() - b.mean())
    assert interval.low == pytest.approx(np.quantile(means, 0.05), abs=0.006)
    assert interval.high == pytest.approx(np.quantile(means, 0.95), abs=0.006)


def test_ninety_percent_intervals_cover_the_truth_about_ninety_times_in_a_hundred():
    rng = np.random.default_rng(1)
    a, b = judgements(200_000, 0.85, 0.8, rng)
    truth, covered = a.mean() - b.mean(), 0
    for _ in range(400):
        picked = rng.integers(0, len(a), 300)
        interval = paired_bootstrap(a[picked], b[picked], resamples=1000)
        covered += interval.low <= truth <= interval.high
    assert 0.85 < covered / 400 < 0.95


def test_several_runs_count_by_their_mean_per_pair():
    runs = np.array([[1, 1, 0, 1], [1, 0, 0, 1]])
    interval = paired_bootstrap(runs, np.zeros(4))
    assert interval.difference == pytest.approx(0.625)
    assert interval.low < 0.625 < interval.high


def test_same_seed_gives_the_same_interval_and_prints_as_points():
    a, b = judgements(100, 0.9, 0.8, np.random.default_rng(2))
    assert paired_bootstrap(a, b, seed=5) == paired_bootstrap(a, b, seed=5)
    assert str(paired_bootstrap(np.ones(10), np.zeros(10))) == "+100.00 [+100.00, +100.00] points"


def test_unpaired_sets_and_impossible_levels_are_refused():
    with pytest.raises(UserError, match="3 pairs of one model cannot be paired with 4"):
        paired_bootstrap(np.ones(3), np.ones(4))
    with pytest.raises(UserError, match="level is 90; it must lie between 0 and 1"):
        paired_bootstrap(np.ones(3), np.ones(3), level=90)

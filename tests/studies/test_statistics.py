# SPDX-License-Identifier: MIT
"""Statistics: differences are paired by seed, intervals are right, shares are of a real gap."""

import math

import numpy as np
import pytest

from studies.statistics import paired, share_closed, t_quantile


def by_seed(values):
    return dict(enumerate(values))


def test_pairs_are_made_by_seed_whatever_the_order():
    found = paired({3: 0.5, 1: 0.2, 9: 0.9}, {1: 0.1, 3: 0.3})
    assert found is not None
    assert found.by_seed == pytest.approx({1: 0.1, 3: 0.2})
    assert found.value == pytest.approx(0.15)


def test_interval_is_the_t_interval_of_a_textbook():
    # Five differences: mean 1, standard deviation 1, t(0.975, 4) = 2.776.
    values = np.array([-1.0, 1.0, 1.0, 1.0, 3.0]) / math.sqrt(2) + 1 - 1 / math.sqrt(2)
    assert values.std(ddof=1) == pytest.approx(1.0)
    found = paired(by_seed(values), by_seed([0.0] * 5))
    assert found is not None
    assert found.high - found.value == pytest.approx(2.776 / math.sqrt(5), abs=1e-3)
    assert found.value - found.low == pytest.approx(found.high - found.value)


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (4, 2.776), (30, 2.042)])
def test_quantiles_are_those_of_the_tables(freedom, expected):
    assert t_quantile(0.95, freedom) == pytest.approx(expected, abs=1e-3)


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.3, 1.0, (2000, 5))
    inside = [p.low < 0.3 < p.high for d in draws if (p := paired(by_seed(d), by_seed([0] * 5)))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_one_seed_has_a_difference_and_no_interval():
    found = paired({0: 0.5}, {0: 0.4})
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert math.isnan(found.low)
    assert not found.above
    assert not found.below


def test_no_seed_in_common_is_no_difference():
    assert paired({0: 1.0}, {1: 1.0}) is None
    assert share_closed({0: 1.0}, {1: 1.0}, {1: 2.0}) is None


def test_above_and_below_ask_for_the_whole_interval():
    up, down, both = ([2, 2.1, 1.9], [-2, -2.1, -1.9], [2, -2, 0.1])
    found = [paired(by_seed(v), by_seed([0, 0, 0])) for v in (up, down, both)]
    assert [(f.above, f.below) for f in found if f] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_share_is_the_ratio_of_means():
    base, ceiling = [0.1, 0.2, 0.3], [0.3, 0.4, 0.51]
    row = [0.2, 0.31, 0.4]
    found = share_closed(by_seed(row), by_seed(base), by_seed(ceiling))
    assert found is not None
    assert found.value == pytest.approx(0.31 / 0.61)
    assert found.low < found.value < found.high


def test_share_of_the_ceiling_itself_is_one_and_exact():
    found = share_closed(by_seed([1, 2.5, 3]), by_seed([0, 1, 1]), by_seed([1, 2.5, 3]))
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((1, 1, 1))


def test_fieller_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(1500):
        gap = rng.normal(1.0, 0.15, 5)
        gain = 0.6 + 0.3 * (gap - 1) + rng.normal(0, 0.1, 5)
        found = share_closed(by_seed(gain), by_seed([0.0] * 5), by_seed(gap))
        inside.append(found is not None and found.low < 0.6 < found.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)


def test_ends_of_fieller_are_where_the_t_test_of_three_seeds_turns():
    """At each end r, mean(y - r x) lies t standard errors from 0, t with 3 - 1 = 2 degrees."""
    gain, gap = {0: 0.11, 1: 0.14, 2: 0.12}, {0: 0.20, 1: 0.23, 2: 0.18}
    share = share_closed(gain, dict.fromkeys(gain, 0.0), gap)
    for end in (share.low, share.high):
        left = [gain[seed] - end * gap[seed] for seed in gain]
        mean = sum(left) / 3
        error = math.sqrt(sum((value - mean) ** 2 for value in left) / 2 / 3)
        assert abs(mean) / error == pytest.approx(4.302653, rel=1e-5)


def test_share_of_no_gap_is_not_given():
    row, base = by_seed([0.2, 0.3, 0.1]), by_seed([0.1, 0.1, 0.1])
    assert share_closed(row, base, by_seed([0.2, 0.0, 0.1])) is None
    assert share_closed(row, base, by_seed([0.0, 0.0, 0.0])) is None


def test_share_of_one_seed_has_no_interval():
    found = share_closed({0: 0.15}, {0: 0.1}, {0: 0.2})
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert math.isnan(found.low)

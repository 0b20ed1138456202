# SPDX-License-Identifier: MIT
"""Differentials by hand, and at their ends."""

import numpy as np
import pytest

from arcface_fair.evaluation.differentials import (
    fairness_discrepancy_rate,
    garbe,
    gini,
    inequity_rate,
    max_geomean_ratio,
    max_min_ratio,
)

FMR, FNMR = [0.01, 0.04], [0.1, 0.2]


def test_the_formulas_by_hand():
    assert max_min_ratio(FMR) == pytest.approx(4)
    assert max_geomean_ratio(FMR) == pytest.approx(0.04 / 0.02)
    assert fairness_discrepancy_rate(FMR, FNMR, 0.25) == pytest.approx(
        1 - (0.25 * 0.03 + 0.75 * 0.1)
    )
    assert gini(FMR) == pytest.approx(2 / 1 * (2 * 0.03) / (2 * 4 * 0.025))
    assert garbe(FMR, FNMR, 0.25) == pytest.approx(0.25 * 0.6 + 0.75 * 1 / 3)
    assert inequity_rate(FMR, FNMR, 0.25) == pytest.approx(4**0.25 * 2**0.75)


def test_equal_groups_are_at_the_equal_end_of_every_figure():
    equal = [0.3, 0.3, 0.3]
    assert max_min_ratio(equal) == max_geomean_ratio(equal) == 1
    assert fairness_discrepancy_rate(equal, equal) == 1
    assert gini(equal) == garbe(equal, equal) == 0
    assert inequity_rate(equal, equal) == 1


def test_the_most_unequal_gini_is_one():
    assert gini([0, 0, 0, 0.2]) == pytest.approx(1)


def test_rates_of_zero_are_infinite_or_unknown_never_silently_a_number():
    assert max_min_ratio([0, 0.1]) == np.inf
    assert max_geomean_ratio([0, 0.1]) == np.inf
    assert np.isnan(max_min_ratio([0, 0]))
    assert np.isnan(max_geomean_ratio([0, 0]))
    assert gini([0, 0]) == 0


def test_a_single_group_has_no_gini():
    assert np.isnan(gini([0.1]))


def test_many_weightings_at_once():
    many = np.array([FMR, [0.02, 0.02]])
    np.testing.assert_allclose(max_min_ratio(many), [4, 1])
    np.testing.assert_allclose(garbe(many, many), [0.6, 0])

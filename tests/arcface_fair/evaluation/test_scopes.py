# SPDX-License-Identifier: MIT
"""A scope knows how many pairs it has, how many decide, and how far float32 can be trusted."""

import numpy as np
import pytest

from arcface_fair.evaluation.scopes import Plan, rounding_doubt
from arcface_fair.evaluation.unit_rows import unit_rows

PEOPLE = np.array([0, 0, 0, 1, 1, 2, 3])


def test_pairs_are_counted_by_kind():
    plan = Plan("all", np.arange(7), PEOPLE, (0.1, 0.5), 0.0)
    assert (plan.genuine, plan.impostor) == (4, 17)
    assert plan.allowed == [1, 8]
    assert plan.keep == 17  # twice 8 and some, but there are no more
    part = Plan("some", np.array([0, 1, 3]), PEOPLE, (0.1,), 0.0)
    assert (part.genuine, part.impostor, part.allowed) == (1, 2, [0])


def test_a_share_that_floats_miss_by_a_hair_is_met():
    plan = Plan("all", np.arange(25), np.arange(25), (0.01,), 0.0)
    assert plan.impostor == 300
    assert plan.allowed == [3]


@pytest.mark.parametrize("dimension", [16, 512])
def test_float32_products_of_unit_rows_err_less_than_the_doubt(dimension):
    rows = np.random.default_rng(0).normal(size=(300, dimension))
    unit, norms = unit_rows(rows)
    exact = (rows / norms[:, None]) @ (rows / norms[:, None]).T
    assert np.abs(unit @ unit.T - exact).max() < rounding_doubt(dimension)

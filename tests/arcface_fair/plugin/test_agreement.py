# SPDX-License-Identifier: MIT
"""Agreement of partitions does not depend on names, ignores the unknown, and knows its chance."""

from itertools import permutations

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import agreement, chance_agreement


def test_swapping_the_names_of_subsets_is_full_agreement():
    a = np.array([0, 0, 1, 1, 2])
    assert agreement(a, (a + 1) % 3) == (1.0, 1.0)


def test_agreement_by_hand():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    h_a, h_b = np.log(2), -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    joint = -(2 * 0.25 * np.log(0.25) + 0.5 * np.log(0.5))
    nmi, match = agreement(a, b)
    assert nmi == pytest.approx(2 * (h_a + h_b - joint) / (h_a + h_b), rel=1e-12)
    assert match == 0.75


def test_independent_partitions_share_no_information():
    a, b = np.arange(400) % 2, np.arange(400) // 2 % 2
    nmi, match = agreement(a, b)
    assert nmi == pytest.approx(0, abs=1e-12)
    assert match == 0.5


@pytest.mark.parametrize("widths", [(2, 2), (2, 5), (4, 3), (5, 5)])
def test_best_match_equals_trying_every_renaming(widths):
    generator = np.random.default_rng(sum(widths))
    for _ in range(20):
        a, b = (generator.integers(0, width, 60) for width in widths)
        small, large = sorted((a, b), key=lambda codes: codes.max())
        names = range(int(large.max()) + 1)
        best = max(
            float((np.array(order)[small] == large).mean())
            for order in permutations(names, int(small.max()) + 1)
        )
        assert agreement(a, b).best_match_accuracy == pytest.approx(best, abs=1e-12)


def test_two_constant_partitions_share_no_information():
    assert agreement(np.zeros(5), np.zeros(5)) == (0.0, 1.0)


def test_partitions_of_different_records_are_refused():
    with pytest.raises(UserError, match=r"shapes \(3,\) and \(4,\), expected one value"):
        agreement(np.zeros(3), np.zeros(4))


def test_unknown_identities_do_not_count():
    a = np.array([0, 1, -1, 0])
    assert agreement(a, np.array([1, 0, 1, -1])) == (1.0, 1.0)
    assert all(np.isnan(agreement(a, np.array([-1, -1, 0, -1]))))


def test_independent_partitions_stay_below_chance_nearly_always_and_related_ones_do_not():
    generator = np.random.default_rng(0)
    below = []
    for _ in range(40):
        a, b = generator.integers(0, 2, 200), generator.integers(0, 8, 200)
        below.append(agreement(a, b).nmi < chance_agreement(a, b))
    assert np.mean(below) >= 0.85  # 0.95 is expected
    related = np.where(generator.random(200) < 0.8, a, b)
    assert agreement(a, related).nmi > 3 * chance_agreement(a, related)


def test_chance_grows_with_the_number_of_values_and_is_unknown_without_identities():
    generator = np.random.default_rng(0)
    a = generator.integers(0, 2, 200)
    few, many = (chance_agreement(a, generator.integers(0, n, 200)) for n in (2, 40))
    assert many > 3 * few
    assert np.isnan(chance_agreement(a, np.full(200, -1)))

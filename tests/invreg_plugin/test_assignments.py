# SPDX-License-Identifier: MIT
"""Agreement between partitions, and the partitions that need no learning."""

from itertools import permutations

import numpy as np
import pytest

from arcface_fair.errors import UserError
from invreg_plugin.assignments import (
    Partition,
    agreement,
    check_subsets,
    random_partition,
    shuffled_partition,
    table_partition,
)


def test_swapping_the_names_of_subsets_is_full_agreement():
    a = np.array([0, 0, 1, 1, 2], np.uint8)
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


def test_unknown_identities_do_not_count():
    a = np.array([0, 1, 255, 0], np.uint8)
    assert agreement(a, np.array([1, 0, 1, -1])) == (1.0, 1.0)
    assert all(np.isnan(agreement(a, np.array([-1, -1, 0, -1]))))


def test_two_constant_partitions_share_no_information():
    assert agreement(np.zeros(5, np.uint8), np.zeros(5, np.uint8)) == (0.0, 1.0)


def test_partitions_of_different_records_are_refused():
    with pytest.raises(UserError, match=r"shapes \(3,\) and \(4,\), expected one value"):
        agreement(np.zeros(3), np.zeros(4))


def test_a_random_partition_is_balanced_and_decided_by_its_seed():
    partition = random_partition(101, 3, seed=4)
    assert sorted(partition.sizes) == [33, 34, 34]
    np.testing.assert_array_equal(partition.subset, random_partition(101, 3, seed=4).subset)
    assert (partition.subset != random_partition(101, 3, seed=5).subset).any()
    assert agreement(partition.subset, np.arange(101) % 3).nmi < 0.1


def test_a_shuffled_partition_keeps_the_sizes_and_the_unknown():
    subset = np.array([0] * 30 + [1] * 60 + [255] * 5, np.uint8)
    learned = Partition(subset, np.ones(95, np.float32), 2)
    shuffled = shuffled_partition(learned, seed=0)
    assert shuffled.sizes == [30, 60]
    assert (shuffled.subset[90:] == 255).all()
    assert (shuffled.subset != subset).any()


def test_a_table_partition_is_the_table():
    partition = table_partition(np.array([1, 0, -1, 2]))
    assert partition.subset.tolist() == [1, 0, 255, 2]
    assert partition.confidence.tolist() == [1, 1, 0, 1]
    assert (partition.subsets, partition.sizes) == (3, [1, 1, 1])


def test_codes_that_are_not_whole_numbers_are_refused():
    with pytest.raises(UserError, match=r"codes have shape .* expected one whole number"):
        table_partition(np.array([0.5, 1.0]))


@pytest.mark.parametrize("codes", [[0, 0, 0], [-1, -1]])
def test_a_table_with_fewer_than_two_groups_is_refused(codes):
    with pytest.raises(UserError, match=r"subsets is [01], expected 2\.\.254"):
        table_partition(np.array(codes))


def test_impossible_numbers_of_subsets_are_refused():
    with pytest.raises(UserError, match=r"subsets is 1, expected 2\.\.254"):
        check_subsets(1, 10)
    with pytest.raises(UserError, match="subsets is '2', expected a whole number"):
        check_subsets("2", 10)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="3 identities with images cannot fill 4 subsets"):
        check_subsets(4, 3)

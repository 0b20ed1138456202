# SPDX-License-Identifier: MIT
"""The partitions that need no learning, and 255 as the mark of no subset."""

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


def test_unassigned_identities_do_not_count_but_an_attribute_may_have_256_values():
    a = np.array([0, 1, 255, 0], np.uint8)
    assert agreement(a, np.array([1, 0, 1, -1])) == (1.0, 1.0)
    codes = np.arange(300)
    assert agreement(codes, codes) == (1.0, 1.0)
    assert agreement(codes[255:], np.array([-1] * 44 + [0])) == (0.0, 1.0)


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

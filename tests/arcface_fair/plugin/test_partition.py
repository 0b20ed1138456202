# SPDX-License-Identifier: MIT
"""The partitions that need no learning, and 255 as the mark of no subset."""

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import (
    Partition,
    agreement,
    check_subsets,
    stage_files,
    stage_path,
    subset_name,
)


def test_unassigned_identities_do_not_count_but_an_attribute_may_have_256_values():
    a = np.array([0, 1, 255, 0], np.uint8)
    assert agreement(a, np.array([1, 0, 1, -1])) == (1.0, 1.0)
    codes = np.arange(300)
    assert agreement(codes, codes) == (1.0, 1.0)
    assert agreement(codes[255:], np.array([-1] * 44 + [0])) == (0.0, 1.0)


def test_a_random_partition_is_balanced_and_decided_by_its_seed():
    partition = Partition.random(101, 3, seed=4)
    assert sorted(partition.sizes) == [33, 34, 34]
    np.testing.assert_array_equal(partition.subset, Partition.random(101, 3, seed=4).subset)
    assert (partition.subset != Partition.random(101, 3, seed=5).subset).any()
    assert agreement(partition.subset, np.arange(101) % 3).nmi < 0.1


def test_a_shuffled_partition_keeps_the_sizes_and_the_unknown():
    subset = np.array([0] * 30 + [1] * 60 + [255] * 5, np.uint8)
    learned = Partition.of_subset(subset)
    shuffled = learned.shuffled(seed=0)
    assert shuffled.sizes == [30, 60]
    assert (shuffled.subset[90:] == 255).all()
    assert (shuffled.subset != subset).any()


def test_a_table_partition_is_the_table():
    partition = Partition.of_codes(np.array([1, 0, -1, 2]))
    assert partition.subset.tolist() == [1, 0, 255, 2]
    assert partition.confidence.tolist() == [1, 1, 0, 1]
    assert (len(partition.names), partition.sizes) == (3, [1, 1, 1])


def test_codes_that_are_not_whole_numbers_are_refused():
    with pytest.raises(UserError, match=r"codes have shape .* expected one whole number"):
        Partition.of_codes(np.array([0.5, 1.0]))


@pytest.mark.parametrize("codes", [[0, 0, 0], [-1, -1]])
def test_a_table_with_fewer_than_two_groups_is_refused(codes):
    with pytest.raises(UserError, match=r"subsets is [01], expected 2\.\.254"):
        Partition.of_codes(np.array(codes))


def test_impossible_numbers_of_subsets_are_refused():
    with pytest.raises(UserError, match=r"subsets is 1, expected 2\.\.254"):
        check_subsets(1, 10)
    with pytest.raises(UserError, match="subsets is '2', expected a whole number"):
        check_subsets("2", 10)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="3 identities with images cannot fill 4 subsets"):
        check_subsets(4, 3)


def example() -> Partition:
    subset = np.array([0, 1, 255, 1], np.uint8)
    return Partition(subset, ("a", "b"), np.array([0.5, 0.9731, 0, 1], np.float32))


def test_a_written_partition_reads_back(tmp_path):
    path = tmp_path / "partitions" / "stage_1.tsv"
    example().write(path)
    back = Partition.read(path, 4)
    np.testing.assert_array_equal(back.subset, example().subset)
    np.testing.assert_allclose(back.confidence, example().confidence, atol=5e-5)
    assert back.names == ("a", "b")


def test_the_file_is_what_a_person_expects(tmp_path):
    example().write(tmp_path / "p.tsv")
    lines = (tmp_path / "p.tsv").read_text().splitlines()
    assert lines == ["identity\tsubset\tconfidence", "0\ta\t50.00%", "1\tb\t97.31%", "2\t\t",
                     "3\tb\t100.00%"]  # fmt: skip


def test_a_partition_file_is_a_group_table(tmp_path):
    example().write(tmp_path / "p.tsv")
    table = GroupTable.read(tmp_path / "p.tsv", 4)
    assert table["subset"].codes.tolist() == [0, 1, -1, 1]


def test_subsets_have_letters_without_end():
    assert [subset_name(n) for n in (0, 25, 26, 27, 52, 253)] == ["a", "z", "aa", "ab", "ba", "it"]
    assert len({subset_name(n) for n in range(254)}) == 254


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0\tAsian\t50.00%", "line of identity 0: subset is 'Asian', expected letters"),
        ("0\ta\thigh", "line of identity 0: confidence is 'high', expected a percentage"),
        ("0\ta\t120%", "line of identity 0: confidence is '120%', expected a percentage"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, line, message):
    path = tmp_path / "p.tsv"
    path.write_text(f"identity\tsubset\tconfidence\n{line}\n")
    with pytest.raises(UserError, match=message):
        Partition.read(path, 1)


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("identity\trace\n0\tx\n")
    with pytest.raises(UserError, match="no attribute 'subset'"):
        Partition.read(path, 1)


def test_the_files_of_a_run_are_found_by_number_and_nothing_else(tmp_path):
    for number in (10, 2):
        example().write(stage_path(tmp_path, number))
    (tmp_path / "partitions" / "stage_x.tsv").write_text("")
    assert list(stage_files(tmp_path)) == [2, 10]
    assert stage_files(tmp_path)[2] == tmp_path / "partitions" / "stage_2.tsv"
    assert stage_files(tmp_path / "nowhere") == {}


def test_words_and_images_are_those_of_the_subsets():
    partition = Partition.of_subset(np.array([1, 0, 255, 1], np.uint8), names=("short", "long"))
    assert partition.words() == ["long", "short", "", "long"]
    assert partition.images(np.array([0, 0, 1, 2, 3])).tolist() == [1, 3]
    assert partition.confidence.tolist() == [1, 1, 0, 1]
    assert Partition.of_subset(np.array([255], np.uint8)).names == ()

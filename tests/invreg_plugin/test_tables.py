# SPDX-License-Identifier: MIT
"""Partition files: group tables that people can read."""

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from invreg_plugin.assignments import Partition
from invreg_plugin.tables import read_partition_tsv, subset_name, write_partition_tsv


def example() -> Partition:
    subset = np.array([0, 1, 255, 1], np.uint8)
    return Partition(subset, np.array([0.5, 0.9731, 0, 1], np.float32), 2)


def test_a_written_partition_reads_back(tmp_path):
    path = tmp_path / "partitions" / "stage_1.tsv"
    write_partition_tsv(path, example())
    back = read_partition_tsv(path, 4)
    np.testing.assert_array_equal(back.subset, example().subset)
    np.testing.assert_allclose(back.confidence, example().confidence, atol=5e-5)
    assert back.subsets == 2


def test_the_file_is_what_a_person_expects(tmp_path):
    write_partition_tsv(tmp_path / "p.tsv", example())
    lines = (tmp_path / "p.tsv").read_text().splitlines()
    assert lines == ["identity\tsubset\tconfidence", "0\ta\t50.00%", "1\tb\t97.31%", "2\t\t",
                     "3\tb\t100.00%"]  # fmt: skip


def test_a_partition_file_is_a_group_table(tmp_path):
    write_partition_tsv(tmp_path / "p.tsv", example())
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
        read_partition_tsv(path, 1)


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("identity\trace\n0\tx\n")
    with pytest.raises(UserError, match="no attribute 'subset'"):
        read_partition_tsv(path, 1)

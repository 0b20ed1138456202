# SPDX-License-Identifier: MIT
"""Traces on the page: mean and range of every number, over seeds."""

from studies.results import gather
from studies.summary import summarise
from studies.traces_page import numbers, traces_table
from tests.benchmark_stubs import a_benchmark, put


def lines(folder):
    return summarise(gather(folder), "main", "test").lines


def test_numbers_are_by_path_over_seeds(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    (line,) = [line for line in lines(folder) if line.name == "contrast"]
    found = numbers(line)
    assert found["contrast gap_difference"] == [0.25] * 5
    assert found["contrast gap[1]"] == [0.35] * 5
    assert found["contrast acts"] == [1.0] * 5
    assert found["diagnosis map auc"] == [0.9] * 5


def test_of_what_a_partition_follows_only_the_planted_columns_are_shown(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    follows = {"race": {"nmi": 0.5}, "moles": {"nmi": 0.1}}
    put(
        folder, "invreg", (10,), traces={"partitions": {"1": {"sizes": [3, 4], "follows": follows}}}
    )
    (line,) = [line for line in lines(folder) if line.name == "invreg"]
    assert set(numbers(line)) == {
        "partitions 1 sizes[0]", "partitions 1 sizes[1]", "partitions 1 follows race nmi",
    }  # fmt: skip


def test_table_gives_mean_and_range(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "contrast", (10,), traces={"contrast": {"gap_difference": 0.35}})
    text = traces_table(lines(folder))
    assert "0.27<small>0.25 .. 0.35</small>" in text


def test_rows_that_left_nothing_make_no_table(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    assert traces_table([line for line in lines(folder) if line.name == "arcface"]) == ""

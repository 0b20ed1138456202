# SPDX-License-Identifier: MIT
"""Verdicts: what failed is said in plain words."""

import pytest

from studies.results import gather
from studies.summary import conclusions, summarise, table_warnings
from tests.benchmark_stubs import a_benchmark, put


@pytest.fixture
def table(tmp_path):
    return summarise(gather(a_benchmark(tmp_path / "b")), "main", "test")


def test_method_above_baseline_and_controls(table):
    assert conclusions(table.line("contrast")) == [
        "the mean and the worst group higher than arcface",
        "above its control contrast_rolled, mean and worst group",
        "above its control contrast_shuffled, mean and worst group",
    ]


def test_method_below_its_own_control(table):
    assert conclusions(table.line("invreg"))[1] == "below its own control invreg_random"


def test_method_that_its_control_equals(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "invreg_shuffled", (10, 11, 12, 13, 14), (0.0, 0.004, 0.0, 0.0), noise=-0.004)
    table = summarise(gather(folder), "main", "test")
    assert "not told apart from its control invreg_shuffled" in conclusions(table.line("invreg"))


def test_levelling_down_is_called_so(table):
    said = conclusions(table.line("cifp"))
    assert said[0] == "the mean and the worst group lower than arcface"
    assert said[1] == "the mean fell while the spread shrank: levelling down"


def test_smaller_spread_alone_is_no_success(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "cifp_invreg", (10, 11, 12, 13, 14), (-0.03, 0.02, -0.01, 0.02), noise=0.0002)
    table = summarise(gather(folder), "main", "test")
    assert conclusions(table.line("cifp_invreg"))[-1] == (
        "the spread shrank, but the mean did not rise"
    )


def test_mixed_findings_are_said_one_by_one(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "invreg_truth", (10, 11, 12), (0.03, -0.02, 0.03, 0.03))
    line = summarise(gather(folder), "main", "test").line("invreg_truth")
    assert conclusions(line) == ["the mean higher than arcface; the worst group lower than arcface"]


def test_baseline_and_single_seeds_get_no_verdict(table, tmp_path):
    assert conclusions(table.line("arcface")) == []
    single = summarise(gather(a_benchmark(tmp_path / "one", (10,))), "main", "test")
    assert conclusions(single.line("contrast")) == []


def test_few_seeds_are_a_hint_and_missing_ones_are_named(tmp_path):
    folder = a_benchmark(tmp_path / "b", (10, 11))
    put(folder, "invreg_truth", (10,))
    assert table_warnings(summarise(gather(folder), "main", "test")) == [
        "2 seeds only: a hint, no finding; five are asked for",
        "not all seeds are there yet for invreg_truth",
    ]


def test_full_table_needs_no_remark(table):
    assert table_warnings(table) == []

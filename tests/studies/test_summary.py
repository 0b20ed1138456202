# SPDX-License-Identifier: MIT
"""Summary: known gains come out as they were put in, beside baseline, ceiling and controls."""

import math

import pytest

from studies.results import gather
from studies.summary import summarise
from tests.benchmark_stubs import MADE, a_benchmark, put


@pytest.fixture
def folder(tmp_path):
    return a_benchmark(tmp_path / "benchmark")


def test_lines_are_the_rows_that_ran_in_the_order_of_the_suite(folder):
    names = [line.name for line in summarise(gather(folder), "main", "test").lines]
    assert names == ["arcface", "ceiling", "invreg", "invreg_random", "cifp", "contrast",
                     "contrast_rolled", "contrast_shuffled", "none_arcface"]  # fmt: skip


def test_gain_that_was_put_in_comes_out(folder):
    line = summarise(gather(folder), "main", "test").line("contrast")
    mean, worst = line.against_baseline["mean"], line.against_baseline["worst"]
    assert mean.value == pytest.approx(0.0475 + 0.002 / 5)
    assert worst.value == pytest.approx(0.09 + 0.002 / 5)
    assert mean.above
    assert line.against_baseline["accuracy/coral"].value == pytest.approx(0.03 + 0.002 / 5)


def test_baseline_is_not_compared_with_itself(folder):
    assert summarise(gather(folder), "main", "test").line("arcface").against_baseline == {}


def test_method_is_paired_with_each_of_its_controls(folder):
    controls = summarise(gather(folder), "main", "test").line("contrast").controls
    assert controls["contrast_rolled"]["worst"].value == pytest.approx(0.11)
    assert controls["contrast_shuffled"]["mean"].value == pytest.approx(0.04 - 0.018 / 5)


def test_share_of_the_gap_closed(folder):
    table = summarise(gather(folder), "main", "test")
    closed = table.line("contrast").closed
    assert closed["mean"].value == pytest.approx(0.0479 / 0.0802)
    assert closed["worst"].value == pytest.approx(0.0904 / 0.1502)
    assert table.line("ceiling").closed == {}


def test_without_a_gap_no_share_is_given(folder):
    put(folder, "none_contrast", (10, 11, 12), 0.0, noise=0.001)
    line = summarise(gather(folder), "main", "test").line("none_contrast")
    assert line.closed == {}
    assert line.baseline == "none_arcface"


def test_only_common_seeds_are_paired(folder):
    put(folder, "invreg_truth", (13, 14, 20))
    line = summarise(gather(folder), "main", "test").line("invreg_truth")
    assert line.seeds == [13, 14, 20]
    assert sorted(line.against_baseline["mean"].by_seed) == [13, 14]


def test_people_drawn_differently_are_not_paired_and_said(folder):
    put(folder, "invreg_truth", (13, 14), drawn={"faces": "f", "unseen": "u13"})
    table = summarise(gather(folder), "main", "test")
    assert sorted(table.line("invreg_truth").against_baseline["mean"].by_seed) == [13]
    assert table.remarks == [
        "invreg_truth and arcface met differently drawn people at seed 14: these are not paired"
    ]


def test_people_drawn_by_another_version_are_told(folder):
    put(folder, "invreg_truth", (13, 14), drawn={"faces": "f", "unseen": "u13", "sample": "old"})
    said = summarise(gather(folder), "main", "test").remarks
    assert said[0] == (
        "invreg_truth at seed 13, 14: another version drew these people; "
        "make the runs again with --redo"
    )


def test_rows_of_other_training_code_are_told(folder):
    for name, code in (("invreg_truth", "old"), ("invreg_rex", "new"), ("cifp_invreg", "new")):
        put(folder, name, (10, 11), made={**MADE, "code": code})
    assert summarise(gather(folder), "main", "test").remarks == [
        "other training code than the rest made runs of invreg_truth; --redo makes them again"
    ]


def test_one_seed_has_no_interval(tmp_path):
    folder = a_benchmark(tmp_path / "one", (10,))
    line = summarise(gather(folder), "main", "test").line("contrast")
    assert math.isnan(line.against_baseline["mean"].low)


def test_rows_may_be_named(folder):
    table = summarise(gather(folder), "rows", "test", ["contrast", "arcface", "invreg_truth"])
    assert [line.name for line in table.lines] == ["contrast", "arcface"]
    assert table.seeds == [10, 11, 12, 13, 14]
    assert table.line("cifp") is None


def test_what_plugins_and_diagnosis_said_is_there_by_seed(folder):
    outputs = summarise(gather(folder), "main", "test").line("contrast").outputs
    assert outputs["10"]["contrast"]["gap_difference"] == 0.25
    assert outputs["10"]["diagnosis"] == {"map": {"auc": 0.9}}
    assert summarise(gather(folder), "main", "test").line("arcface").outputs == {}

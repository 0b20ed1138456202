# SPDX-License-Identifier: MIT
"""Text: the table of a terminal, rows with their controls beside them."""

import math

from studies.results import gather
from studies.statistics import Paired
from studies.summary import summarise
from studies.text import aligned, percent, points, table_text
from tests.benchmark_stubs import a_benchmark


def lines_of(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    return table_text(summarise(gather(folder), "main", "test")).splitlines()


def test_table_says_what_it_is_of(tmp_path):
    assert lines_of(tmp_path)[0].startswith("main: test people, seeds 10, 11, 12, 13, 14; percent")


def test_row_has_figures_differences_and_share(tmp_path):
    (row,) = [ln for ln in lines_of(tmp_path) if ln.startswith("contrast  ")]
    cells = row.split()
    assert cells[1:4] == ["5", "84.99", "75.24"]
    assert "+4.79" in row
    assert "+9.04" in row
    assert "60 % / 60 %" in row


def test_control_names_its_method(tmp_path):
    text = "\n".join(lines_of(tmp_path))
    assert "  contrast_rolled (control of contrast)" in text
    assert "contrast - contrast_rolled" in text


def test_std_and_ser_stand_beside_mean_worst_and_tpr_only(tmp_path):
    for line in lines_of(tmp_path):
        if "STD" in line or "SER" in line:
            assert all(word in line for word in ("mean", "worst", "TPR"))


def test_verdicts_stand_below(tmp_path):
    assert "- cifp: the mean and the worst group lower than arcface; the mean fell while the " \
           "spread shrank: levelling down" in lines_of(tmp_path)  # fmt: skip


def test_points_and_percent():
    assert points(None) == "-"
    assert points(Paired(0.012, math.nan, math.nan, {})) == "+1.20"
    assert points(Paired(-0.012, -0.03, 0.001, {})) == "-1.20 [-3.00, +0.10]"
    assert [percent(x) for x in (-0.001, 0.604)] == ["0", "60"]


def test_columns_are_in_line():
    assert aligned([("a", "bb"), ("ccc", 1)]) == "a    bb\nccc   1"

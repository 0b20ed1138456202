# SPDX-License-Identifier: MIT
"""The report for a terminal: spreads never without mean, worst group and TPR."""

from arcface_fair.cli.evaluate import all_pairs_text, at_one_threshold, intervals
from tests.arcface_fair.report.example import example, some_pairs


def test_intervals_stand_beside_every_figure_and_the_difference():
    head, first, second, change = intervals(example()).splitlines()
    assert head.index("mean accuracy") < head.index("worst tpr") < head.index("STD n")
    assert first.count("[") == second.count("[") == change.count("[") == 7
    assert change.startswith("difference")
    assert "+" in change or "-" in change


def test_a_single_group_has_dashes_for_spreads():
    _, row = intervals(example(models=1, groups=1)).splitlines()
    assert row.split()[-3:] == ["-", "-", "-"]


def test_rates_at_one_threshold_by_group():
    head, *rows = at_one_threshold(example()).strip().splitlines()
    assert head.startswith("FMR / FNMR, % at FMR 0.05 of all")
    assert len(rows) == 2
    assert rows[0].count(" / ") == 2


def test_all_pairs_hold_counts_and_remarks():
    text = all_pairs_text("model", some_pairs())
    assert text.splitlines()[0].startswith("model: all pairs")
    assert "- all, FPR 1e-06: too few impostors for this FPR: " in text

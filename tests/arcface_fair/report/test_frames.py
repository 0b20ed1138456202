# SPDX-License-Identifier: MIT
"""fairlearn's frames and the long table hold the figures of the report."""

from dataclasses import replace

import pytest

from arcface_fair.report.frames import long_table, rates_by_group
from tests.arcface_fair.report.example import GROUPS, example, some_pairs


def test_fairlearn_finds_the_reports_rates():
    model = example().models[0]
    frame = rates_by_group(model, model.estimates["threshold"].value + 1e-12)
    for name in GROUPS:
        assert frame.by_group.FMR[name] == pytest.approx(model.estimates[f"fmr/{name}"].value)
        assert frame.by_group.FNMR[name] == pytest.approx(model.estimates[f"fnmr/{name}"].value)
        assert frame.by_group.pairs[name] == 480
    assert frame.difference().FNMR > 0


def test_the_long_table_has_every_figure_of_every_model_and_their_difference():
    table = long_table(example())
    assert set(table.model) == {"old & plain", "new", "difference"}
    row = table[(table.model == "new") & (table.figure == "accuracy") & (table.group == "north")]
    assert row.value.item() == example().models[1].estimates["accuracy/north"].value
    ratios = table[table.figure == "FMR max/min"]
    assert set(ratios.group) == {""}


def test_all_pairs_join_the_table():
    report = example(models=1)
    report = replace(report, models=(replace(report.models[0], all_pairs=some_pairs()),))
    table = long_table(report)
    assert set(table[table.figure == "all pairs tpr@0.05"].group) == {"all", "north", "south"}

# SPDX-License-Identifier: MIT
"""Data frames, JSON and CSV hold what the page shows, and nothing that JSON has no word for."""

import csv
import json
from dataclasses import replace

import pytest

from arcface_fair.report import write_csv, write_json
from arcface_fair.report.files import as_dict, long_table, rates_by_group
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


def test_json_holds_figures_intervals_protocol_words_and_facts(tmp_path):
    report = example()
    found = json.loads(write_json(report, tmp_path / "deep" / "report.json").read_text())
    assert found["protocol"]["interval"] == 0.95
    assert found["words"] == list(report.warnings)
    figure = found["models"]["new"]["figures"]["accuracy/north"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert found["models"]["new"]["facts"]["SHA-256"] == "ab" * 32
    assert found["models"]["new"]["groups"]["north"] == {"pairs": 480, "genuine": 240}
    assert found["differences"]["mean accuracy"]["value"] < 0


def test_what_is_unknown_or_infinite_is_null():
    alone = as_dict(example(models=1, groups=1))
    assert alone["models"]["old & plain"]["figures"]["SER"]["value"] is None


def test_all_pairs_join_with_their_notes():
    report = example(models=1)
    report = replace(report, models=(replace(report.models[0], all_pairs=some_pairs()),))
    scope = as_dict(report)["models"]["old & plain"]["all_pairs"][0]
    assert (scope["name"], scope["images"], scope["people"]) == ("all", 80, 20)
    assert scope["tpr"]["1e-06"]["value"] is None
    assert "too few impostors" in scope["tpr"]["1e-06"]["note"]


def test_csv_is_one_figure_a_line(tmp_path):
    path = write_csv(example(), tmp_path / "report.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["model", "figure", "group", "value", "low", "high"]
    assert len(lines) == 3 * len(example().models[0].estimates)

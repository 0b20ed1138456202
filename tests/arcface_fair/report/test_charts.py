# SPDX-License-Identifier: MIT
"""Every chart is one SVG whose letters can be read, and the same figures give the same bytes."""

import xml.etree.ElementTree as tree
from dataclasses import replace

import pytest

from arcface_fair.evaluation.metrics import METRICS, Protocol
from arcface_fair.report import build_report, charts
from tests.arcface_fair.evaluation.drawn import draw
from tests.arcface_fair.report.example import example, some_pairs


def words(svg):
    return " ".join("".join(element.itertext()) for element in tree.fromstring(svg).iter())


def drawn():
    report = example()
    model = replace(report.models[0], all_pairs=some_pairs())
    return {
        "bars": charts.bars(report, METRICS["accuracy"], "accuracy, %"),
        "rates": charts.bars(report, METRICS["fmr"], "FMR, %"),
        "curves": charts.curves(model, 0.3),
        "histograms": charts.histograms(model, 0.3),
        "differences": charts.differences(report, METRICS["accuracy"], "points"),
        "pairs": charts.all_pairs_curves(model),
    }


@pytest.fixture(scope="module")
def pictures():
    return drawn()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bars", ["north", "south <b>", "accuracy, %", "old & plain", "new"]),
        ("rates", ["FMR, %"]),
        ("curves", ["ROC", "DET", "FNMR, %", "north"]),
        ("histograms", ["cosine similarity", "south <b>"]),
        ("differences", ["points", "north"]),
        ("pairs", ["TPR, %", "all", "south"]),
    ],
)
def test_a_chart_names_what_it_shows(pictures, name, expected):
    text = words(pictures[name])
    assert all(word in text for word in expected), text


def test_the_same_figures_give_the_same_bytes(pictures):
    assert drawn() == pictures


def test_many_groups_become_lines_below_each_other():
    groups = {f"attribute {n}": draw(n, people=10, each=2) for n in range(14)}
    report = build_report({"model": groups}, Protocol(), resamples=5)
    root = tree.fromstring(charts.bars(report, METRICS["accuracy"], "accuracy, %"))
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert height > 0.7 * width
    assert "attribute 13" in words(charts.bars(report, METRICS["accuracy"], "accuracy, %"))

# SPDX-License-Identifier: MIT
"""The table says what the papers' tables say, and never a spread alone."""

import json
import math

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.differentials import skewed_error_ratio
from arcface_fair.evaluation.groups import group_table, side_by_side
from arcface_fair.evaluation.metrics import METRICS
from tests.arcface_fair.evaluation.drawn import table_of


def pairs(rate, count=400, seed=0):
    """Distances of which a share of about `rate` lies on the right side of 1."""
    rng = np.random.default_rng(seed)
    same = np.arange(count) % 2 == 0
    right = rng.random(count) < rate
    return np.where(same == right, 0.5, 1.5) + 0.1 * rng.random(count), same


# ArcFace and GABN in GABN's Table 1 (ddof 1); ArcFace twice in INV-REG's tables (ddof 0).
@pytest.mark.parametrize(
    ("accuracies", "mean", "std", "ddof", "ser"),
    [
        ((97.37, 95.68, 94.55, 93.87), 95.37, 1.53, 1, 2.33),
        ((97.21, 96.06, 95.73, 95.51), 96.13, 0.75, 1, 1.60),
        ((74.54, 84.43, 81.47, 53.27), 73.43, 12.18, 0, None),
        ((97.48, 98.80, 97.38, 96.80), 97.61, 0.73, 0, None),
    ],
)
def test_rows_of_the_papers_give_the_printed_figures(accuracies, mean, std, ddof, ser):
    table = table_of(**{f"race{i}": value / 100 for i, value in enumerate(accuracies)})
    printed = table["STD n-1" if ddof else "STD n"]
    assert 100 * table["mean accuracy"] == pytest.approx(mean, abs=0.011)
    assert 100 * printed == pytest.approx(std, abs=0.011)
    if ser is not None:
        assert table["SER"] == pytest.approx(ser, abs=0.011)


def test_every_group_is_judged_by_itself():
    table = group_table({"a": pairs(0.9), "b": pairs(0.7, seed=1)})
    accuracies = table.by_group(METRICS["accuracy"])
    assert (table.groups, dict(table.pairs)) == (["a", "b"], {"a": 400, "b": 400})
    assert accuracies["a"] == pytest.approx(0.9, abs=0.05)
    assert accuracies["b"] == pytest.approx(0.7, abs=0.07)
    assert table.as_dict()["worst"] == {"group": "b", "accuracy": accuracies["b"]}


def test_ser_without_errors_is_one_and_with_errors_in_some_groups_infinite():
    assert skewed_error_ratio([1.0, 1.0]) == 1.0
    assert skewed_error_ratio([1.0, 0.9]) == math.inf
    assert skewed_error_ratio([0.8, 0.9]) == pytest.approx(2.0)


def test_dict_survives_json_with_undefined_figures_as_null():
    table = table_of(only=1.0)
    found = json.loads(json.dumps(table.as_dict(), allow_nan=False))
    assert found["groups"]["only"]["accuracy"] == 1.0
    assert found["std_ddof0"] is found["std_ddof1"] is found["ser"] is None
    assert table_of(a=1.0, b=0.5).as_dict()["ser"] is None
    assert found["worst"] == {"group": "only", "accuracy": 1.0}


def test_text_shows_spread_only_beside_mean_worst_and_tpr():
    text = table_of(African=0.85, Asian=0.9).as_text("ArcFace")
    head, row, _, tpr_head, tpr_row = text.splitlines()
    assert head.split("  ")[0] == "accuracy, %"
    for column in ("African", "Asian", "mean", "worst", "STD n", "STD n-1", "SER"):
        assert column in head
    assert row.split() == ["ArcFace", "85.00", "90.00", "87.50", "85.00", "2.50", "3.54", "1.50"]
    assert tpr_head.startswith("TPR, % at FPR 0.01")
    assert tpr_row.split() == ["ArcFace", "65.00", "70.00", "67.50"]


def test_two_models_stand_side_by_side_with_their_difference():
    text = side_by_side({"before": table_of(a=0.8, b=0.9), "after": table_of(a=0.86, b=0.9)})
    assert "difference +6.00 +0.00 +3.00 +6.00" in " ".join(text.split())
    assert "after against before: mean accuracy rose by 3.00 points, worst group rose by 6" in text


def test_a_smaller_spread_at_a_lower_mean_is_said_in_words():
    text = side_by_side({"before": table_of(a=0.8, b=0.9), "after": table_of(a=0.8, b=0.82)})
    assert "mean accuracy fell by 4.00 points, worst group is unchanged" in text
    assert "groups were levelled down in part" in text


def test_the_spread_of_a_single_group_is_a_dash():
    row = side_by_side({"one": table_of(a=0.9)}).splitlines()[1].split()
    assert row == ["one", "90.00", "90.00", "90.00", "-", "-", "-"]


def test_a_group_that_cannot_be_judged_is_named():
    bad = (np.ones(20), np.ones(20, bool))
    with pytest.raises(UserError, match="group 'b': none of the 20 pairs shows different people"):
        group_table({"a": pairs(0.9), "b": bad})


def test_no_group_at_all_and_unequal_groups_are_refused():
    with pytest.raises(UserError, match="there is no group to judge"):
        group_table({})
    with pytest.raises(UserError, match="judged on different groups"):
        side_by_side({"x": table_of(a=0.8), "y": table_of(b=0.8)})

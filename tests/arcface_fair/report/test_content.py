# SPDX-License-Identifier: MIT
"""A report says in words what figures alone would hide."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.all_pairs import all_pairs
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.metrics import METRICS, Protocol
from arcface_fair.report.content import (
    best_and_worst,
    build_report,
    notes,
    pair_notes,
)
from tests.arcface_fair.evaluation.drawn import draw
from tests.arcface_fair.report.example import GROUPS, example, worse


def test_a_fall_of_the_mean_is_said():
    words = example().warnings[0]
    assert words.startswith("new against old & plain: mean accuracy fell by ")
    assert "worst accuracy fell by" in words


def test_a_smaller_spread_with_a_lower_mean_is_called_levelling_down():
    good, bad = draw(0), draw(1, shift=0.3)
    level = {"a": worse({"a": good}, 0.3)["a"], "b": bad}
    report = build_report({"old": {"a": good, "b": bad}, "new": level}, Protocol(), resamples=10)
    assert report.differences["STD n"].value < 0
    assert "The mean fell while the spread shrank" in report.warnings[1]
    assert "no improvement by itself" in report.warnings[1]


def test_a_fall_without_a_smaller_spread_is_said_too():
    apart = {"a": draw(0), "b": worse({"b": draw(1)}, 0.4)["b"]}
    report = build_report(
        {"old": {"a": draw(0), "b": draw(1)}, "new": apart}, Protocol(), resamples=10
    )
    assert report.warnings[1] == "The mean fell."


def test_an_unchanged_mean_is_unchanged():
    report = build_report({"a": GROUPS, "b": GROUPS}, Protocol(), resamples=10)
    assert "mean accuracy is unchanged, worst accuracy is unchanged" in report.warnings[0]


def test_a_difference_that_may_be_none_is_called_so():
    slightly = worse(GROUPS, 0.004)
    report = build_report({"old": GROUPS, "new": slightly}, Protocol(), resamples=50)
    assert "the interval holds 0" in report.warnings[0] or "is unchanged" in report.warnings[0]


def test_what_the_data_cannot_resolve_is_said_once_for_all_groups():
    said = notes(GROUPS, Protocol((1e-4, 0.01), 1e-5))
    assert said[0].startswith("north, south <b>: too few impostors for this FPR: 240 pairs, 0.0001")
    assert said[1].startswith("north, south <b>: 2 impostor pairs decide the threshold at FPR 0.01")
    assert said[2].startswith("All groups together: too few impostors")


def test_one_group_and_unknown_people_are_said():
    alone = Comparisons(GROUPS["north"].distances, GROUPS["north"].same)
    said = " ".join(notes({"north": alone}, Protocol()))
    assert "There is one group: spreads between groups (STD, SER, ratios) are undefined." in said
    assert "intervals are too narrow" in said


def test_notes_of_the_data_are_kept():
    odd = Comparisons(
        GROUPS["north"].distances, GROUPS["north"].same, GROUPS["north"].people, ("2 are odd",)
    )
    assert "north: 2 are odd." in notes({"north": odd, "south": GROUPS["south <b>"]}, Protocol())


def test_remarks_on_all_pairs_join_their_scopes():
    embeddings = np.random.default_rng(0).normal(size=(40, 4))
    embeddings[3] = 0
    who = np.repeat(np.arange(10), 4)
    found = all_pairs(embeddings, who, np.array(["a", "b"])[who % 2], (0.006,), resamples=0)
    assert pair_notes(found) == [
        "1 of 40 embeddings are zero; their similarity to everybody is 0.",
        "all, FPR 0.006: 4 impostor pairs decide the threshold.",
        "a, b, FPR 0.006: too few impostors for this FPR: 160 pairs, 0.006 needs at least 167.",
    ]


def test_best_and_worst_follow_the_figures_direction_and_hold_all_equals():
    values = {"a": 0.9, "b": 0.7, "c": 0.9, "d": np.nan}
    assert best_and_worst(values, METRICS["accuracy"]) == ({"a", "c"}, {"b"})
    assert best_and_worst(values, METRICS["fnmr"]) == ({"b"}, {"a", "c"})
    assert best_and_worst({"a": 0.5, "b": 0.5}, METRICS["SER"]) == (set(), set())
    assert best_and_worst({"a": 0.1, "b": 0.5}, METRICS["threshold"]) == (set(), set())


def test_models_that_saw_different_pairs_are_refused():
    with pytest.raises(UserError, match="judged on different pairs"):
        build_report({"a": GROUPS, "b": {"north": draw(0), "south <b>": draw(9)}}, Protocol())
    with pytest.raises(UserError, match="there is no model to report on"):
        build_report({}, Protocol())

# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import WORLDS
from drawn_faces.traits import groups_of
from studies.context_truth import context_region
from studies.diagnosis import (
    auc,
    logit_figures,
    map_agreement,
    planted_side,
)


def test_auc_is_the_share_of_couples_in_order_with_ties_as_halves():
    rng = np.random.default_rng(0)
    values, positive = rng.integers(0, 5, (6, 7)).astype(float), rng.random((6, 7)) < 0.4
    pairs = [(a, b) for a in values[positive] for b in values[~positive]]
    expected = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert auc(values, positive) == pytest.approx(expected)


def test_auc_without_both_kinds_is_no_number():
    assert np.isnan(auc(np.arange(3.0), np.ones(3, bool)))
    assert np.isnan(auc(np.arange(3.0), np.zeros(3, bool)))


def test_a_map_of_the_context_itself_scores_one_and_its_opposite_zero():
    world = replace(WORLDS["confounded"], identities=20)
    region = context_region(world).astype(np.float32)
    assert map_agreement(region, world)["auc_context"] == 1
    assert map_agreement(-region, world)["auc_context"] == 0
    assert 0.5 < map_agreement(region, world)["auc_outside_face"] < 1


def test_the_planted_side_is_who_keeps_the_context():
    world = WORLDS["confounded"]
    groups = groups_of(world)
    assert np.array_equal(planted_side(world), (groups > 0).astype(int))
    assert planted_side(WORLDS["alike"]).all()
    assert not planted_side(world.control()).any()


def test_logit_figures_are_those_of_the_softmax():
    embeddings = np.array([[2.0, 0.0], [0.0, 3.0]], np.float32)
    centres = np.array([[1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]], np.float32)
    found = logit_figures(embeddings, centres, np.array([0, 0]), 2.0)
    # cosines: [1, 0, -1] with target 1, [0, 1, 0] with target 0
    first, second = np.exp([2, 0, -2]), np.exp([0, 2, 0])
    pmax = (first[0] / first.sum() + second[1] / second.sum()) / 2
    assert found["target"] == 0.5
    assert found["rival"] == 0.5  # the nearest other class: 0 and 1
    assert found["difference"] == 0
    assert found["pmax"] == pytest.approx(pmax, abs=1e-4)

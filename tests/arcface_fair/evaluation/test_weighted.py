# SPDX-License-Identifier: MIT
"""With weights of one the plain figures; with whole weights, those of repeated pairs."""

import numpy as np
from sklearn.metrics import roc_curve

from arcface_fair.evaluation.verification import ten_fold_of_distances, tpr_at_fpr
from arcface_fair.evaluation.weighted import (
    weighted_share,
    weighted_ten_fold,
    weighted_threshold,
)
from tests.arcface_fair.evaluation.drawn import draw


def test_ones_give_the_ten_fold_accuracy_of_the_protocol():
    pairs = draw()
    found = weighted_ten_fold(pairs.distances, pairs.same, np.ones((3, len(pairs.same))))
    assert (found == ten_fold_of_distances(pairs.distances, pairs.same).accuracy).all()


def test_a_fold_whose_pairs_all_weigh_nothing_is_left_out():
    pairs = draw()
    weights = np.ones((1, len(pairs.same)))
    weights[:, : len(pairs.same) // 10] = 0
    found = weighted_ten_fold(pairs.distances, pairs.same, weights)
    assert 0.5 < found[0] <= 1


def test_thresholds_and_shares_are_those_of_scikit_learn_with_sample_weights():
    pairs = draw(people=30)
    rng = np.random.default_rng(1)
    distances = np.round(pairs.distances, 2)  # many ties
    weights = rng.integers(0, 4, (5, len(distances))).astype(float)
    for rate in (0.01, 0.1, 0.5):
        limits = weighted_threshold(distances[~pairs.same], weights[:, ~pairs.same], rate)
        tpr = weighted_share(distances[pairs.same], weights[:, pairs.same], limits)
        for row in range(5):
            fpr, expected, _ = roc_curve(
                pairs.same, -distances, sample_weight=weights[row], drop_intermediate=False
            )
            np.testing.assert_allclose(tpr[row], expected[fpr <= rate + 1e-9].max(), atol=1e-12)


def test_ones_give_the_exact_tpr_at_fpr():
    pairs = draw()
    ones = np.ones((1, int((~pairs.same).sum())))
    limit = weighted_threshold(pairs.distances[~pairs.same], ones, 0.05)
    found = weighted_share(pairs.distances[pairs.same], ones, limit)
    assert found[0] == tpr_at_fpr(pairs.distances, pairs.same, 0.05)


def test_everything_may_be_accepted():
    assert weighted_threshold(np.ones(4), np.ones((1, 4)), 1.0) == np.inf

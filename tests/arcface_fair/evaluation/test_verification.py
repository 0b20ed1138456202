# SPDX-License-Identifier: MIT
"""The ten-fold protocol, TPR at an FPR, and both for weighted pairs."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from arcface_fair.errors import UserError
from arcface_fair.evaluation import verification
from arcface_fair.evaluation.verification import (
    squared_distances,
    ten_fold,
    ten_fold_of_distances,
    tpr_at_fpr,
    weighted_share,
    weighted_ten_fold,
    weighted_threshold,
)
from tests.arcface_fair.evaluation.drawn import draw

GRID = np.arange(0, 4, 0.001)


def some_pairs(pairs, seed=0, noise=1.3):
    rng = np.random.default_rng(seed)
    a, other = rng.normal(size=(2, pairs, 16))
    same = rng.random(pairs) < 0.5
    b = np.where(same[:, None], a + noise * rng.normal(size=a.shape), other)
    return a.astype(np.float32) * 5, b.astype(np.float32) * 7, same


def plain_ten_fold(a, b, same):
    """The protocol word for word, with loops."""
    distances = []
    for row_a, row_b in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        difference = row_a / np.linalg.norm(row_a) - row_b / np.linalg.norm(row_b)
        distances.append(float(np.sum(difference**2)))
    distances = np.array(distances)
    sizes = [len(same) // 10 + (fold < len(same) % 10) for fold in range(10)]
    accuracies, thresholds, start = [], [], 0
    for size in sizes:
        test = np.zeros(len(same), bool)
        test[start : start + size] = True
        start += size
        grid = np.arange(0, 4, 0.01)
        scores = [((distances[~test] < t) == same[~test]).mean() for t in grid]
        best = grid[int(np.argmax(scores))]
        thresholds.append(best)
        accuracies.append(((distances[test] < best) == same[test]).mean())
    return accuracies, thresholds


@pytest.mark.parametrize("pairs", [23, 200, 604])
def test_ten_fold_equals_the_protocol_written_out_with_loops(pairs):
    a, b, same = some_pairs(pairs, seed=pairs)
    accuracies, thresholds = plain_ten_fold(a, b, same)
    result = ten_fold(a, b, same)
    np.testing.assert_allclose(result.fold_accuracy, accuracies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.fold_threshold, thresholds, rtol=0, atol=1e-12)
    assert result.accuracy == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert result.std == pytest.approx(np.std(accuracies), abs=1e-12)
    assert 0.6 < result.accuracy < 1


def test_of_equally_good_thresholds_the_smallest_is_taken():
    distances, same = np.tile([0.5, 1.5], 10), np.tile([True, False], 10)
    result = ten_fold_of_distances(distances, same)
    np.testing.assert_allclose(result.fold_threshold, 0.51)
    assert result.accuracy == 1.0


def test_a_distance_equal_to_the_threshold_is_refused():
    grid = verification.ACCURACY_GRID
    distances = np.tile([grid[36], grid[37]], 10)
    result = ten_fold_of_distances(distances, np.tile([True, False], 10))
    assert (result.fold_threshold == grid[37]).all()
    assert result.accuracy == 1.0


def test_judgement_of_each_pair_belongs_to_its_own_fold():
    a, b, same = some_pairs(600)
    result = ten_fold(a, b, same)
    np.testing.assert_allclose(result.correct.reshape(10, 60).mean(1), result.fold_accuracy)


def test_a_zero_embedding_stays_zero():
    ones = np.ones((1, 4))
    assert squared_distances(ones, 0 * ones) == pytest.approx(1.0)


def plain_threshold(distances, same, far):
    """Between the last grid point whose rate is at most ``far`` and the next, step by step."""
    grid = np.arange(0, 4, 0.001)
    curve = [(distances[~same] < t).mean() for t in grid]
    if max(curve) < far:
        return 0.0
    last = max(i for i, rate in enumerate(curve) if rate <= far)
    if last == len(grid) - 1:
        return grid[last]
    return np.interp(far, curve[last : last + 2], grid[last : last + 2])


def test_without_repeated_rates_the_threshold_is_that_of_interpolating_the_whole_curve():
    curve = np.linspace(0, 0.9, len(GRID)) ** 2
    expected = np.interp(1e-3, curve, GRID)
    assert verification.threshold_at(curve, 1e-3, GRID) == pytest.approx(expected, abs=1e-12)


def test_nothing_is_accepted_where_the_rate_cannot_be_reached():
    assert verification.threshold_at(np.zeros(len(GRID)), 1e-3, GRID) == 0.0


def test_tpr_at_fpr_refuses_the_impostor_at_the_threshold():
    impostors, genuine = np.arange(1, 301) / 100, np.array([0.005, 0.02, 0.035, 0.045])
    distances = np.concatenate([impostors, genuine])
    same = np.arange(304) >= 300
    # Three of 300 may pass; the fourth, at 0.04, is the threshold: 0.045 is refused.
    assert tpr_at_fpr(distances, same, 0.01) == 0.75
    assert tpr_at_fpr(np.tile([0.3, 0.3], 200), np.tile([True, False], 200), 0.01) == 0.0
    assert tpr_at_fpr(distances, same, 1.0) == 1.0


def test_tpr_is_undefined_with_too_few_impostors():
    assert math.isnan(tpr_at_fpr(np.ones(20), np.arange(20) < 10, 0.01))


NAN = np.where(np.arange(40).reshape(20, 2) == 11, np.nan, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ten_fold(np.ones((9, 2)), np.ones((9, 2)), [True] * 9), "9 pairs cannot make 10"),
        (
            lambda: ten_fold_of_distances(np.ones(20), np.ones(20)),
            "none of the 20 pairs shows different people",
        ),
        (
            lambda: ten_fold_of_distances(np.ones(20), np.zeros(20)),
            "none of the 20 pairs shows one person",
        ),
        (lambda: squared_distances(np.ones((3, 2)), np.ones((3, 4))), r"shapes \(3, 2\) and"),
        (lambda: squared_distances(NAN, NAN), "1 of 20 pairs hold NaN.*the first in pair 5"),
        (lambda: ten_fold_of_distances(np.ones(20), np.ones(21)), "one of each per pair"),
    ],
)
def test_pairs_that_cannot_be_judged_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


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

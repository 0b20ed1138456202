# SPDX-License-Identifier: MIT
"""The fast form of the ten-fold protocol is the protocol."""

import math

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation import verification
from arcface_fair.evaluation.verification import (
    squared_distances,
    ten_fold,
    ten_fold_of_distances,
    tpr_at_fpr,
    validation_rate,
)


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
    distances = np.tile([0.2, grid[37]], 10)
    result = ten_fold_of_distances(distances, np.tile([True, False], 10))
    assert result.accuracy == 1.0
    accepted, _ = verification._accepted(
        distances, np.ones(20, bool), verification.fold_of_pair(20), grid
    )
    assert accepted[:, 37].sum() == 10
    assert accepted[:, 38].sum() == 20


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


@pytest.mark.parametrize("far", [1e-3, 0.05, 1.0])
def test_validation_rate_equals_its_definition_written_out_with_loops(far):
    a, b, same = some_pairs(203, seed=3)
    distances, folds = squared_distances(a, b), verification.fold_of_pair(203)
    rates = []
    for fold in range(10):
        rest, test = folds != fold, folds == fold
        accepted = distances[test] < plain_threshold(distances[rest], same[rest], far)
        rates.append((accepted[same[test]].mean(), accepted[~same[test]].mean()))
    result = validation_rate(distances, same, far)
    expected = np.array(rates)
    assert result.val == pytest.approx(expected[:, 0].mean(), abs=1e-12)
    assert result.std == pytest.approx(expected[:, 0].std(), abs=1e-12)
    assert result.far == pytest.approx(expected[:, 1].mean(), abs=1e-12)


def test_without_repeated_rates_the_threshold_is_that_of_interpolating_the_whole_curve():
    curve = np.linspace(0, 0.9, len(verification.RATE_GRID)) ** 2
    expected = np.interp(1e-3, curve, verification.RATE_GRID)
    assert verification.threshold_at(curve, 1e-3) == pytest.approx(expected, abs=1e-12)


def test_nothing_is_accepted_where_the_rate_cannot_be_reached():
    assert verification.threshold_at(np.zeros(len(verification.RATE_GRID)), 1e-3) == 0.0


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

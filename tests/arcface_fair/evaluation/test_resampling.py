# SPDX-License-Identifier: MIT
"""Intervals know that pairs share people; two models are compared draw by draw."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.metrics import Protocol
from arcface_fair.evaluation.resampling import (
    STEP,
    check_paired,
    clipped,
    interval,
    pair_weights,
    people_weights,
    resample,
)
from tests.arcface_fair.evaluation.drawn import draw


def test_a_pair_weighs_the_product_of_its_people_and_a_genuine_one_its_person():
    sides = np.array([[0, 0], [0, 1], [1, 2], [2, 2]])
    same = np.array([True, False, False, True])
    weights = people_weights(sides, same, np.random.default_rng(0), 500)
    first, third = weights[:, 0], weights[:, 3]
    second = weights[:, 1] / first
    np.testing.assert_allclose(weights[:, 2], second * third)
    np.testing.assert_allclose(first + second + third, 3)  # as many people as there are
    assert set(np.unique(first)) <= {1 + STEP * (n - 1) for n in range(4)}


def test_drawing_pairs_alone_leaves_genuine_pairs_as_they_are():
    same = np.array([True, False, False, False])
    weights = pair_weights(same, np.random.default_rng(0), 100)
    assert (weights[:, 0] == 1).all()
    np.testing.assert_allclose(weights[:, 1:].sum(1), 3)


def test_the_same_seed_gives_the_same_intervals_and_another_one_others():
    groups = {"a": draw(0)}
    first, again, other = (
        resample(groups, resamples=60, seed=seed).estimates()["accuracy/a"] for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_people_who_share_pairs_widen_the_interval():
    strong = draw(0, people=30, each=20, person=0.4, noise=0.1)
    alone = Comparisons(strong.distances, strong.same)
    wide, narrow = (
        resample({"a": pairs}, resamples=300).estimates()["accuracy/a"] for pairs in (strong, alone)
    )
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_a_model_against_itself_differs_by_nothing():
    groups = {"a": draw(0), "b": draw(1)}
    one, two = resample(groups, resamples=50), resample(groups, resamples=50)
    change = one.minus(two).changes()["mean accuracy"]
    assert (change.value, change.low, change.high) == (0, 0, 0)


def test_paired_differences_are_surer_than_two_intervals():
    groups = {"a": draw(0, person=0.3)}
    slightly = {"a": Comparisons(groups["a"].distances + 0.02 * groups["a"].same,
                                 groups["a"].same, groups["a"].people)}  # fmt: skip
    one, two = (resample(g, Protocol(fmr=0.1), resamples=200) for g in (groups, slightly))
    change = two.minus(one).changes()["fnmr/a"]
    alone = one.estimates()["fnmr/a"]
    assert change.high - change.low < 0.5 * (alone.high - alone.low)


def test_models_judged_on_different_pairs_cannot_be_paired():
    with pytest.raises(UserError, match="judged on different pairs"):
        check_paired({"a": draw(0)}, {"a": draw(1)})
    with pytest.raises(UserError, match="judged on different pairs"):
        check_paired({"a": draw(0)}, {"b": draw(0)})
    check_paired({"a": draw(0)}, {"a": draw(0)})


def test_intervals_stay_within_what_a_figure_can_be():
    estimate = clipped(interval(0.99, np.linspace(0.9, 1.0, 100), np.full(100, 0.95)), 0.0, 1.0)
    assert estimate.low < estimate.value < estimate.high == 1.0


@pytest.mark.parametrize(
    ("chance", "variance"),
    [
        # Steps of h = 1/2 give h^2 V + (1 + h^2) of the pairs' chance: V = (4 - 1.25 * 1) / 0.25.
        (1.0, 11.0),
        # Where chance alone would explain all of it, the least: V = 4 / 2.25 / 0.25.
        (2.0, 64 / 9),
    ],
)
def test_variance_of_an_interval_is_that_of_whole_resamples(chance, variance):
    people = np.array([-2.0, 2.0] * 100)
    found = interval(0.5, people, np.array([-chance, chance] * 100))
    half = math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_unknown_figures_have_no_interval():
    unknown = interval(np.nan, np.full(10, np.nan), np.full(10, np.nan))
    assert np.isnan(unknown.low)
    assert not unknown.known
    assert np.isnan(interval(np.inf, np.full(10, np.inf), np.full(10, np.inf)).low)


def test_a_ratio_that_is_often_infinite_has_an_infinite_end():
    drawn = np.concatenate([np.linspace(2, 4, 95), np.full(5, np.inf)])
    estimate = interval(3.0, drawn, np.full(100, 3.0))
    assert np.isfinite(estimate.low)
    assert estimate.high == np.inf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resample({"a": draw(0)}, resamples=1), "1 resamples give no interval"),
        (lambda: interval(0.5, np.ones(5), np.ones(5), 1.0), "level is 1.0"),
    ],
)
def test_mistakes_are_one_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make()


def truth(shifts, fmr, person=0.1, noise=0.2):
    """FMR and FNMR of every group of `draw` at the one threshold of all, without sampling."""
    normal = NormalDist()
    genuine, impostor = np.hypot(person, noise), np.sqrt(2 * person**2 + noise**2)
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        rates = [normal.cdf((middle - 1.6 + s / 2) / impostor) for s in shifts.values()]
        low, high = (middle, high) if np.mean(rates) < fmr else (low, middle)
    found = {}
    for name, shift in shifts.items():
        found[f"fmr/{name}"] = normal.cdf((low - 1.6 + shift / 2) / impostor)
        found[f"fnmr/{name}"] = 1 - normal.cdf((low - 0.8 - shift) / genuine)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_95_percent_intervals_cover_the_truth_in_93_to_97_percent_of_cases():
    shifts, fmr, runs = {"a": 0.0, "b": 0.12}, 0.05, 500
    known = truth(shifts, fmr)
    hits = dict.fromkeys(known, 0)
    for run in range(runs):
        groups = {
            name: draw((run, place), people=200, each=4, shift=shift)
            for place, (name, shift) in enumerate(shifts.items())
        }
        found = resample(groups, Protocol((fmr,), fmr), resamples=200, seed=run).estimates()
        for name, value in known.items():
            hits[name] += found[name].low <= value <= found[name].high
    covered = {name: count / runs for name, count in hits.items()}
    assert 0.93 <= np.mean(list(covered.values())) <= 0.97, covered
    # 500 runs of 95 % hold 461 to 488 in 99 % of cases; a figure must not lie outside.
    assert all(0.92 <= share <= 0.98 for share in covered.values()), covered

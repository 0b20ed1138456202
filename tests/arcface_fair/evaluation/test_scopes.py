# SPDX-License-Identifier: MIT
"""Scopes of all pairs: intervals from the highest impostors alone, and what is kept."""

import numpy as np
import pytest

from arcface_fair.evaluation.kept_pairs import GenuinePairs
from arcface_fair.evaluation.scopes import Impostors, Plan, _tprs, rate_estimates, rounding_doubt
from arcface_fair.evaluation.tiles import unit_rows

FPRS = (0.02, 0.1)


def scene(seed=0, people=20, each=4):
    """Scores of all pairs of images whose people have good and bad days."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    a, b = np.triu_indices(len(who), 1)
    scores = rng.normal(0, 0.1, len(a)) + 0.3 * (who[a] == who[b])
    other = who[a] != who[b]
    order = np.argsort(-scores[other])
    impostors = Impostors(
        scores[other][order], who[a][other][order], who[b][other][order],
        int(other.sum()), np.full(people, each),
    )  # fmt: skip
    genuine = GenuinePairs(scores[~other], who[a][~other], a[~other], b[~other])
    return impostors, genuine


def cut(impostors, keep):
    return Impostors(
        impostors.scores[:keep], impostors.left[:keep], impostors.right[:keep],
        impostors.total, impostors.sizes,
    )  # fmt: skip


def test_the_kept_ones_are_enough():
    impostors, genuine = scene()
    whole, part = (
        rate_estimates(some, genuine, (0.02,), 100, 0.95, 0)
        for some in (impostors, cut(impostors, impostors.total // 4))
    )
    assert part[0.02].value == whole[0.02].value
    assert part[0.02].low == pytest.approx(whole[0.02].low, abs=0.03)
    assert part[0.02].high == pytest.approx(whole[0.02].high, abs=0.03)


def test_the_weight_of_all_impostors_follows_from_the_people():
    impostors, _ = scene()
    weights = np.random.default_rng(1).uniform(0, 2, 20)
    images = weights * impostors.sizes
    total = (images.sum() ** 2 - (images**2).sum()) / 2
    assert total == pytest.approx((weights[impostors.left] * weights[impostors.right]).sum())


def test_beyond_all_impostors_everything_is_accepted():
    impostors, genuine = scene()
    ones = np.ones(len(impostors.scores)), np.ones(len(genuine.scores))
    falling = np.sort(genuine.scores)[::-1]
    found = _tprs(impostors.scores, falling, *ones, 2 * impostors.total, impostors.total, (0.9,))
    assert found[0] == 1.0


def test_no_rates_and_no_resamples():
    impostors, genuine = scene()
    assert rate_estimates(impostors, genuine, (), 10, 0.95, 0) == {}
    assert np.isnan(rate_estimates(impostors, genuine, FPRS, 0, 0.95, 0)[0.1].low)


PEOPLE = np.array([0, 0, 0, 1, 1, 2, 3])


def test_pairs_are_counted_by_kind():
    plan = Plan("all", np.arange(7), PEOPLE, (0.1, 0.5), 0.0)
    assert (plan.genuine, plan.impostor) == (4, 17)
    assert plan.allowed == [1, 8]
    assert plan.keep == 17  # twice 8 and some, but there are no more
    part = Plan("some", np.array([0, 1, 3]), PEOPLE, (0.1,), 0.0)
    assert (part.genuine, part.impostor, part.allowed) == (1, 2, [0])


def test_a_share_that_floats_miss_by_a_hair_is_met():
    plan = Plan("all", np.arange(25), np.arange(25), (0.01,), 0.0)
    assert plan.impostor == 300
    assert plan.allowed == [3]


@pytest.mark.parametrize("dimension", [16, 512])
def test_float32_products_of_unit_rows_err_less_than_the_doubt(dimension):
    rows = np.random.default_rng(0).normal(size=(300, dimension))
    unit, norms = unit_rows(rows)
    exact = (rows / norms[:, None]) @ (rows / norms[:, None]).T
    assert np.abs(unit @ unit.T - exact).max() < rounding_doubt(dimension)

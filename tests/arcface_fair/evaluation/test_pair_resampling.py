# SPDX-License-Identifier: MIT
"""Resampling the kept impostors alone gives what resampling all pairs gives."""

import numpy as np
import pytest

from arcface_fair.evaluation.genuine import GenuinePairs
from arcface_fair.evaluation.pair_resampling import Impostors, _tprs, rate_estimates

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

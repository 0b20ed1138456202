# SPDX-License-Identifier: MIT
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from arcface_fair.data.sets.pair_sets import draw_pairs, most_pairs
from arcface_fair.errors import UserError


def people(sizes):
    """Labels in mixed order; identity numbers with gaps."""
    labels = np.repeat(3 * np.arange(len(sizes)) + 1, sizes)
    return np.random.default_rng(0).permutation(labels)


def test_pairs_are_balanced_disjoint_between_folds_and_never_twice():
    labels = people([5] * 20 + [9] * 10 + [1] * 30)
    left, right, same = draw_pairs(labels, 400, np.random.default_rng(1))
    assert np.array_equal(labels[left] == labels[right], same)
    assert same.tolist() == ([True] * 20 + [False] * 20) * 10
    assert (left != right).all()
    assert len({frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}) == 400
    folds = [set(labels[np.append(left[i : i + 40], right[i : i + 40])]) for i in range(0, 400, 40)]
    assert sum(map(len, folds)) == len(set().union(*folds))


def test_people_with_many_images_do_not_outweigh_the_rest():
    labels = people([100] * 10 + [5] * 30)
    left, _, same = draw_pairs(labels, 800, np.random.default_rng(1))
    counts = Counter(labels[left[same]].tolist())
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("sizes", [[3] * 40, [2] * 60, [1] * 20 + [4] * 30, [30] * 20])
def test_all_that_can_be_made_is_made(sizes):
    labels = people(sizes)
    most = min(most_pairs(labels), 4000)
    left, right, _ = draw_pairs(labels, most, np.random.default_rng(0))
    assert (
        len({frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}) == most
    )


def test_the_seed_decides():
    labels = people([5] * 30)
    first, again, other = (draw_pairs(labels, 60, np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("pairs", [0, 10, 30, 140])
def test_numbers_that_cannot_be_are_refused(pairs):
    labels = people([3] * 20)
    assert most_pairs(labels) == 120
    sentence = f"{pairs} pairs are asked of CelebA but its 60 images can make 120; ask for a mult"
    with pytest.raises(UserError, match=sentence):
        draw_pairs(labels, pairs, np.random.default_rng(0), "CelebA")


@pytest.mark.parametrize("sizes", [[], [9], [2] * 9, [1] * 50])
def test_too_few_people_make_no_pair(sizes):
    assert most_pairs(people(sizes)) == 0

# SPDX-License-Identifier: MIT
"""Ranks and open-set rates by hand and by brute force."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.identification import identify


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_figures_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    gallery, people = unit(rng.normal(size=(30, 8))), rng.permutation(100)[:30]
    asked = rng.permutation(np.concatenate([people, people, np.arange(200, 280)]))
    probes = rng.normal(size=(len(asked), 8))
    for row, person in enumerate(asked):
        if person in people:
            probes[row] += 2.5 * gallery[people.tolist().index(person)]
    probes = unit(probes)
    found = identify(gallery, people, probes, asked, block=17, fpirs=(0.1, 0.01))
    ranks, tops, own = [], [], []
    for face, person in zip(probes, asked, strict=True):
        scores = gallery @ face
        if person in people:
            mine = scores[people.tolist().index(person)]
            ranks.append(int((scores > mine).sum()))
            own.append(mine)
        else:
            tops.append(scores.max())
    limit = np.sort(tops)[::-1][8]  # 80 strangers: 8 may be found at 0.1
    assert found.ranks[5] == np.mean(np.array(ranks) < 5)
    assert found.tpir[0.1] == np.mean((np.array(ranks) == 0) & (np.array(own) > limit))
    assert np.isnan(found.tpir[0.01])
    assert (found.enrolled, found.strangers) == (60, 80)


def test_an_entry_as_similar_as_the_own_one_comes_first():
    found = identify(np.eye(2)[[0, 0]], [1, 2], np.eye(2)[:1], [1])
    assert (found.ranks[1], found.ranks[5]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("people", "asked", "message"),
    [
        ([1, 1], [1], "person 1 is enrolled 2 times"),
        ([1, 2], [3], "no probe's person is enrolled"),
        ([1], [1], "do not fit together"),
    ],
)
def test_what_does_not_fit_is_refused(people, asked, message):
    with pytest.raises(UserError, match=message):
        identify(np.eye(2), people, np.eye(2)[:1], asked)

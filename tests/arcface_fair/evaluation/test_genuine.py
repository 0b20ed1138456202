# SPDX-License-Identifier: MIT
"""Every two images of one person are one genuine pair."""

from itertools import combinations

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation import genuine
from arcface_fair.evaluation.genuine import genuine_pairs

PEOPLE = np.array([2, 0, 2, 1, 2, 0])


def test_all_pairs_of_one_person_once():
    found = genuine_pairs(PEOPLE, lambda a, b: (10 * a + b).astype(float))
    pairs = {
        tuple(sorted(p)) for p in zip(found.rows.tolist(), found.columns.tolist(), strict=True)
    }
    expected = {p for p in combinations(range(6), 2) if PEOPLE[p[0]] == PEOPLE[p[1]]}
    assert pairs == expected
    assert len(found.scores) == len(expected)
    assert (found.people == PEOPLE[found.rows]).all()


def test_pairs_among_some_images():
    found = genuine_pairs(PEOPLE, lambda a, b: np.ones(len(a)))
    some = found.among(np.array([0, 2, 5]))
    assert sorted((some.rows[0], some.columns[0])) == [0, 2]
    assert len(some.scores) == 1
    assert len(found.among(np.array([], int)).scores) == 0


def test_people_with_one_image_each_make_none():
    assert len(genuine_pairs(np.arange(5), lambda a, b: np.ones(len(a))).scores) == 0


def test_more_pairs_than_can_be_held_are_refused(monkeypatch):
    monkeypatch.setattr(genuine, "MOST", 3)
    with pytest.raises(UserError, match="the images make 4 genuine pairs, at most 3 can be held"):
        genuine_pairs(PEOPLE, lambda a, b: np.ones(len(a)))

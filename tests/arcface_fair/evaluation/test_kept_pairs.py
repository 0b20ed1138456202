# SPDX-License-Identifier: MIT
"""Genuine pairs are complete, and the highest impostors are those of float64."""

from itertools import combinations

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation import kept_pairs
from arcface_fair.evaluation.kept_pairs import TopPairs, genuine_pairs

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
    monkeypatch.setattr(kept_pairs, "MOST", 3)
    with pytest.raises(UserError, match="the images make 4 genuine pairs, at most 3 can be held"):
        genuine_pairs(PEOPLE, lambda a, b: np.ones(len(a)))


def offered(scores, keep, parts=7, doubt=0.0):
    top = TopPairs(keep, doubt)
    places = np.arange(len(scores))
    for some in np.array_split(places, parts):
        enough = some[scores[some] >= top.bound]
        top.offer(enough, enough + 1, scores[enough].astype(np.float32))
    return top


def test_the_highest_come_back_in_falling_order_with_their_places(monkeypatch):
    monkeypatch.setattr(kept_pairs, "ROOM", 10)
    scores = np.random.default_rng(0).permutation(500) / 512
    found, rows, columns = offered(scores, 20).sorted(lambda a, b: scores[a], [])
    expected = np.sort(scores)[::-1]
    assert (found[:20] == expected[:20]).all()
    assert (scores[rows[:20]] == found[:20]).all()
    assert (columns == rows + 1).all()


def test_the_bound_rises_and_the_room_stays(monkeypatch):
    monkeypatch.setattr(kept_pairs, "ROOM", 10)
    top = offered(np.arange(5000) / 8192, 20, parts=200)
    assert top.bound > 0.5
    assert top._count <= 2 * 20 + 10 + 25


def test_a_rank_in_doubt_gets_its_exact_value():
    rough = np.array([0.5, 0.5, 0.5, 0.4, 0.1])
    exact = np.array([0.5 - 1e-9, 0.5 + 1e-9, 0.5, 0.4, 0.1])
    found, rows, _ = offered(rough, 5, doubt=1e-6).sorted(lambda a, b: exact[a], [1])
    assert rows[:3].tolist() == [1, 2, 0]
    assert found[1] == 0.5
    assert found[0] == exact[1]


def test_more_ties_than_there_is_room_for_are_said(monkeypatch):
    monkeypatch.setattr(kept_pairs, "ROOM", 10)
    top = offered(np.full(1000, 0.25), 20)
    found, _, _ = top.sorted(lambda a, b: np.zeros(len(a)), [5])
    assert not top.certain
    assert (found == 0.25).all()
    assert 20 <= len(found) <= 50


def test_counting_says_whether_there_may_be_more():
    assert offered(np.array([0.9, 0.9, 0.1]), 3).count_above(0.5) == (2, True)
    assert offered(np.array([0.9, 0.9, 0.9, 0.1]), 2).count_above(0.5) == (3, False)
    assert offered(np.array([0.9, 0.9]), 5).count_above(0.5) == (2, True)

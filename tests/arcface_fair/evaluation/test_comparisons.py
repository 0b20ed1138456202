# SPDX-License-Identifier: MIT
"""Comparisons are checked once, and say what is odd about them."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons, people_of_pairs

SAME = np.arange(20) % 2 == 0


def test_scores_and_distances_are_two_views_of_one_thing():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20, 8))
    found = Comparisons.of_embeddings(a, b, SAME)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(found.scores, cosine, atol=1e-12)
    np.testing.assert_allclose(Comparisons.of_scores(cosine, SAME).distances, found.distances)


def test_zero_embeddings_are_counted_and_named():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20, 8))
    a[3] = b[4] = b[5] = 0
    found = Comparisons.of_embeddings(a, b, SAME)
    assert found.notes == ("3 embeddings are zero; each is equally far from everybody",)
    assert found.scores[3] == pytest.approx(0.5)  # a zero row is at distance 1 from unit rows


def test_unknown_people_are_as_many_as_the_pairs_can_hold():
    sides = Comparisons(np.ones(20), SAME).sides
    assert len(np.unique(sides)) == 30
    assert (sides[SAME, 0] == sides[SAME, 1]).all()
    assert (sides[~SAME, 0] != sides[~SAME, 1]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Comparisons(np.full(20, np.nan), SAME), "20 of 20 distances are NaN or infinite"),
        (lambda: Comparisons(np.ones(20), np.ones(20, bool)), "shows different people"),
        (lambda: Comparisons(np.ones(20), np.zeros(20, bool)), "shows one person"),
        (lambda: Comparisons(np.ones(5), SAME[:5]), "5 pairs cannot make 10 folds"),
        (lambda: Comparisons(np.ones(20), SAME, np.zeros((3, 2), int)), "people have shape"),
        (
            lambda: Comparisons(np.ones(20), SAME, np.zeros((20, 2), int)),
            "10 pairs contradict their people, the first is pair 1",
        ),
        (lambda: Comparisons.of_scores(np.full(20, 7.0), SAME), "scores reach from 7 to 7"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_people_of_a_bin_are_joined_by_equal_images_and_genuine_pairs():
    images = [b"a1", b"a2", b"a2", b"a3", b"a1", b"b1", b"b1", b"b2"]
    people, notes = people_of_pairs(images, [True, True, False, True])
    assert people[0, 0] == people[0, 1] == people[1, 0] == people[1, 1] == people[2, 0]
    assert people[2, 1] == people[3, 0] == people[3, 1] != people[0, 0]
    assert notes == ()


def test_duplicated_images_and_contradictions_are_named():
    images = [b"a", b"a", b"b", b"b", b"c", b"d", b"c", b"d"]
    people, notes = people_of_pairs(images, [True, False, True, False])
    assert notes == (
        "1 genuine pairs compare an image with itself",
        "1 pairs labelled as two people hold one image twice",
        "1 pairs labelled as two people join images of one, as genuine pairs say",
    )
    same = np.array([True, False, True, False] * 5)
    Comparisons(np.ones(20), same, np.concatenate([people] * 5))  # people fit the labels again

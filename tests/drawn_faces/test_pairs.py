# SPDX-License-Identifier: MIT
"""Pairs: balanced in every fold, never twice, impostors of one gender."""

from __future__ import annotations

import re

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces.write import verification_pairs

PEOPLE = np.arange(100, 120)
GENDERS = np.arange(20) % 2


def make(pairs: int = 100, seed: int = 0, images: int = 4):
    return verification_pairs(PEOPLE, GENDERS, images, pairs, np.random.default_rng(seed))


def test_every_fold_is_half_genuine_and_labels_are_true():
    chosen, same = make()
    assert np.reshape(same, (10, 10)).sum(1).tolist() == [5] * 10
    assert [a[0] == b[0] for a, b in chosen] == same


def test_no_pair_occurs_twice_and_none_holds_an_image_against_itself():
    chosen, _ = make()
    assert len({frozenset(pair) for pair in chosen}) == 100
    assert all(a != b for a, b in chosen)


def test_impostors_share_their_gender():
    chosen, same = make()
    gender = dict(zip(PEOPLE.tolist(), GENDERS.tolist(), strict=True))
    assert all(
        gender[a[0]] == gender[b[0]] for (a, b), s in zip(chosen, same, strict=True) if not s
    )


def test_only_the_given_people_and_shots_occur():
    chosen, _ = make()
    flat = [image for pair in chosen for image in pair]
    assert {identity for identity, _ in flat} <= set(PEOPLE.tolist())
    assert {shot for _, shot in flat} == {0, 1, 2, 3}


def test_pairs_follow_the_seed():
    assert make(seed=1) == make(seed=1)
    assert make(seed=1) != make(seed=2)


@pytest.mark.parametrize("pairs", [0, 10, 610])
def test_a_number_of_pairs_that_folds_cannot_share_is_refused(pairs):
    with pytest.raises(UserError, match=f"pairs is {pairs}; expected a multiple of 20, .* choose"):
        make(pairs)


def test_too_few_people_for_the_pairs_are_refused_with_the_numbers():
    message = (
        "20 people with 2 images each make 20 genuine and 360 same-gender impostor pairs, "
        "expected at least 30 of either; draw more people or images, or ask for fewer pairs"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        make(60, images=2)

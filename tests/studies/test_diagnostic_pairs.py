# SPDX-License-Identifier: MIT
"""Diagnostic pairs differ in the context alone or in the person alone."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces import WORLDS, World
from drawn_faces.draw import sitter
from studies.diagnostic_pairs import diagnose, diagnostic_pairs

NAMES = ("confounded", "glasses", "makeup", "scattered")
PEOPLE = 8
PAIRS = {name: diagnostic_pairs(WORLDS[name], people=PEOPLE) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_genuine_pairs_hold_one_person_and_differ_in_confounded_words_only(name):
    pairs, world = PAIRS[name], WORLDS[name]
    for index in np.flatnonzero(pairs.same):
        first, second = pairs.contexts[index]
        assert pairs.identities[index, 0] == pairs.identities[index, 1]
        differing = {c for c in world.components if first[c] != second[c]}
        assert differing
        assert differing <= set(world.confounded)
        assert not np.array_equal(*pairs.images[index])


@pytest.mark.parametrize("name", NAMES)
def test_impostor_pairs_share_every_word_group_and_gender_but_not_the_person(name):
    pairs, world = PAIRS[name], WORLDS[name].held_out("validation", PEOPLE, 1)
    for index in np.flatnonzero(~pairs.same):
        first, second = pairs.contexts[index]
        one, other = (sitter(world, int(i)).person for i in pairs.identities[index])
        assert first == second
        assert pairs.identities[index, 0] != pairs.identities[index, 1]
        assert (one.group, one.gender) == (other.group, other.gender)
        assert one.group == pairs.group[index]


def test_genuine_pairs_change_in_the_context_and_impostor_pairs_in_the_face():
    pairs = PAIRS["confounded"]
    change = np.abs(pairs.images[:, 0].astype(int) - pairs.images[:, 1]).mean(axis=3)
    mouth, sky = change[:, 86:98, 46:66].mean(axis=(1, 2)), change[:, :20].mean(axis=(1, 2))
    assert mouth[pairs.same].max() < 1 < mouth[~pairs.same].mean()
    # The camera exposes for the skin, so the sky of another person is a little lighter or darker.
    assert sky[pairs.same].mean() > 3 * sky[~pairs.same].mean()


def test_every_unseen_person_leads_one_pair_of_either_kind():
    pairs = PAIRS["scattered"]
    assert pairs.images.shape == (2 * 4 * PEOPLE, 2, 112, 112, 3)
    assert pairs.images.dtype == np.uint8
    assert pairs.same.sum() == 4 * PEOPLE
    assert np.bincount(pairs.group).tolist() == [2 * PEOPLE] * 4
    for kind in (pairs.same, ~pairs.same):
        assert sorted(pairs.identities[kind, 0]) == list(range(4 * PEOPLE))


def test_pairs_depend_on_the_arguments_alone():
    again = diagnostic_pairs(WORLDS["makeup"], people=PEOPLE)
    assert np.array_equal(again.images, PAIRS["makeup"].images)
    assert again.contexts == PAIRS["makeup"].contexts
    for other in (
        diagnostic_pairs(WORLDS["makeup"], people=PEOPLE, seed=1),
        diagnostic_pairs(WORLDS["makeup"], "test", people=PEOPLE),
        diagnostic_pairs(replace(WORLDS["makeup"], seed=2), people=PEOPLE),
    ):
        assert not np.array_equal(again.images, other.images)


def test_a_world_and_its_control_are_asked_the_same_pairs():
    control = diagnostic_pairs(WORLDS["makeup"].control(), people=PEOPLE)
    assert np.array_equal(control.images, PAIRS["makeup"].images)


def test_a_network_that_sees_people_scores_full_and_one_that_sees_context_half():
    pairs = PAIRS["confounded"]
    people = np.eye(4 * PEOPLE)[pairs.identities]
    contexts = list(dict.fromkeys(str(c) for row in pairs.contexts for c in row))
    seen = np.eye(len(contexts))[[[contexts.index(str(c)) for c in row] for row in pairs.contexts]]
    for group in range(4):
        assert diagnose(pairs, people)[group] == {
            "cosine_context": 1.0, "cosine_person": 0.0, "auc": 1.0, "accuracy": 100.0,
        }  # fmt: skip
        assert diagnose(pairs, seen)[group] == {
            "cosine_context": 0.0, "cosine_person": 1.0, "auc": 0.0, "accuracy": 50.0,
        }  # fmt: skip


def test_scale_does_not_matter_and_a_half_right_network_lies_between():
    pairs = PAIRS["confounded"]
    noise = np.random.default_rng(0).standard_normal((len(pairs.same), 2, 16))
    told = diagnose(pairs, noise)
    for group, row in diagnose(pairs, 7.5 * noise).items():
        assert row == pytest.approx(told[group])
        assert 0.1 < row["auc"] < 0.9
        assert 50 <= row["accuracy"] < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((World(), "train"), "split is 'train'; expected validation or test"),
        ((World(confounded=()),), "World.confounded is empty, so no context can be changed"),
        ((World(), "test", 1), "is the only person of its gender in amber, expected another"),
    ],
)
def test_what_makes_no_pairs_is_refused(arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        diagnostic_pairs(*arguments)

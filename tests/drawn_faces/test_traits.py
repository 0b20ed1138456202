# SPDX-License-Identifier: MIT
"""People: fixed by seed and split, the same whatever the confounder, known in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import WORLDS, World
from drawn_faces.traits import GEOMETRY, LEVELS, SKIN, SPREAD, draw_person

WORLD = World(identities=80)


def face(world: World, identity: int) -> tuple[float, ...]:
    person = draw_person(world, identity)
    return (*person.geometry.values(), *person.skin.tolist(), person.gender, person.iris)


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_every_named_world_holds_the_same_people(name):
    # With the default's shares: another minority means that some belong to another group.
    world = replace(WORLDS[name], identities=80, group_shares=WORLD.group_shares)
    assert [face(world, i) for i in range(6)] == [face(WORLD, i) for i in range(6)]


def test_splits_and_seeds_hold_different_people():
    worlds = [WORLD, *(replace(WORLD, split=s) for s in ("validation", "test")),
              replace(WORLD, seed=1)]  # fmt: skip
    faces = {face(world, i) for world in worlds for i in range(20)}
    assert len(faces) == 80


def test_people_of_one_group_differ_more_than_the_groups_do():
    for mean, spread, _, by_group in GEOMETRY.values():
        assert np.ptp(by_group) <= 2 * SPREAD * spread, mean


def test_ground_truth_is_words_and_thirds_of_the_people():
    rows = [draw_person(WORLD, i).words() for i in range(80)]
    for name in GEOMETRY:
        counts = [sum(row[name] == level for row in rows) for level in LEVELS]
        assert sum(counts) == 80
        assert min(counts) >= 10
    assert not any(word.replace(".", "").isdigit() for row in rows for word in row.values())


def test_skin_stays_near_the_tone_of_the_group():
    for i in range(80):
        person = draw_person(WORLD, i)
        assert np.abs(person.skin - SKIN[person.group]).max() < 35


def test_both_genders_and_all_marks_occur():
    people = [draw_person(WORLD, i) for i in range(80)]
    assert 25 < sum(person.gender for person in people) < 55
    assert {len(person.moles) for person in people} >= {0, 1, 2, 3}
    assert 5 < sum(len(person.freckles) > 0 for person in people) < 40

# SPDX-License-Identifier: MIT
"""Worlds: wrong settings are named, shares are kept, and held-out people are others."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces import COMPONENTS, WORLDS, World


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"identities": 0}, "World.identities is 0; expected a whole number of at least 1"),
        ({"images": 2.5}, "World.images is 2.5; expected a whole number of at least 1"),
        ({"seed": -1}, "World.seed is -1; expected a whole number of at least 0"),
        ({"pose": 1.5}, "World.pose is 1.5; expected numbers from 0 to 1"),
        ({"loose_keep": -0.1}, "World.loose_keep is -0.1; expected numbers from 0 to 1"),
        ({"context_keep": (0.1, 2, 0, 0)}, "World.context_keep is 2; expected numbers from 0"),
        ({"context_keep": (0.1,)}, "expected one number for each of the 4 groups"),
        ({"group_shares": (0.7, 0.1, 0.1, 0.3)}, "expected shares that sum to 1"),
        ({"group_names": ("a", "a", "b", "c")}, "expected 1 to 4 different words"),
        ({"group_names": ("a", "1", "b", "c")}, "World.group_names is '1'; expected words of"),
        ({"split": "exam"}, "World.split is 'exam'; expected one of train, validation, test"),
        ({"confounded": ("hat",)}, "World.confounded is 'hat'; expected names out of hair_style"),
        ({"extra": ("hat",)}, "World.extra is 'hat'; expected different names out of makeup"),
        ({"extra": ("makeup", "makeup")}, "World.extra is 'makeup, makeup'; expected different"),
        ({"confounded": ("makeup",)}, "World.confounded is 'makeup'; expected names out of hair_"),
        ({"identities": 3}, "expected enough people for every share (none in "),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(setting, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        World(**setting)
    assert str(caught.value).endswith("correct this setting of the drawn world")


def test_groups_have_their_shares_and_are_mixed_over_the_class_indices():
    groups = World(identities=320).group_of()
    assert np.bincount(groups).tolist() == [224, 32, 32, 32]
    assert np.bincount(groups[:160], minlength=4).min() >= 5


def test_shares_that_do_not_divide_evenly_still_add_up():
    assert np.bincount(World(identities=17).group_of()).sum() == 17


def test_random_numbers_depend_on_seed_split_stream_and_keys_only():
    def throw(world, *keys):
        return world.rng(*keys).uniform()

    world = World()
    same = throw(world, "a", 1, 2)
    assert same == throw(World(identities=40, pose=0.0), "a", 1, 2)
    others = [
        throw(world, "a", 1, 3),
        throw(world, "a", 2, 1),
        throw(world, "b", 1, 2),
        throw(World(seed=1), "a", 1, 2),
        throw(replace(world, split="test"), "a", 1, 2),
    ]
    assert len({same, *others}) == 6


def test_only_confounded_components_obey_context_keep():
    keep = WORLDS["glasses"].keep(1)
    assert dict(zip(COMPONENTS, keep.tolist(), strict=True)) == {
        name: 0.95 if name == "glasses" else 0.1 for name in COMPONENTS
    }


@pytest.mark.parametrize(("name", "extra"), [("makeup", "makeup"), ("scattered", "stickers")])
def test_a_world_with_an_extra_component_plants_that_one_alone(name, extra):
    world = WORLDS[name]
    assert world.components == (*COMPONENTS, extra)
    assert world.keep(0).tolist() == [0.1] * 8
    assert world.keep(2).tolist() == [0.1] * 7 + [0.95]
    assert world.control().keep(2).tolist() == [0.1] * 8


def test_no_extra_component_is_on_unless_asked_for():
    for name in set(WORLDS) - {"makeup", "scattered"}:
        assert WORLDS[name].components == COMPONENTS


def test_minorities_come_in_three_sizes_of_the_same_kind():
    sizes = [np.bincount(WORLDS[name].group_of())[1] for name in
             ("minority_small", "confounded", "minority_large")]  # fmt: skip
    assert sizes == [16, 32, 64]


def test_control_differs_from_its_world_in_context_keep_only():
    world = World(seed=5, pose=0.3)
    assert world.control() == replace(world, context_keep=(0.1, 0.1, 0.1, 0.1))
    assert WORLDS["control"] == WORLDS["confounded"].control()


def test_held_out_people_come_in_equal_numbers_and_loose_context():
    world = World(identities=40, group_shares=(0.5, 0.25, 0.25, 0.0))
    unseen = world.held_out("test", 10, 3)
    assert np.bincount(unseen.group_of()).tolist() == [10, 10, 10]
    assert unseen.context_keep == (0.1, 0.1, 0.1, 0.1)
    assert (unseen.split, unseen.images, unseen.seed) == ("test", 3, 0)


def test_named_worlds_differ_from_one_another():
    assert len(set(WORLDS.values())) == len(WORLDS)

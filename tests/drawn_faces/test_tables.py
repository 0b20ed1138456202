# SPDX-License-Identifier: MIT
"""Tables: one row per identity, in words, the planted attribute among them."""

from __future__ import annotations

import numpy as np

from drawn_faces import COMPONENTS, WORLDS, World
from drawn_faces.draw import sitter
from drawn_faces.traits import GEOMETRY
from drawn_faces.write import attribute_table, group_table

WORLD = World(identities=40)


def test_the_group_table_names_race_and_gender_of_every_identity():
    table = group_table(WORLD)
    race = table["race"].words()
    assert race == [WORLD.group_names[g] for g in WORLD.group_of()]
    assert set(table["gender"].words()) == {"female", "male"}
    assert table.class_names[7] == f"{race[7]}_00007"


def test_the_planted_attribute_is_the_minority_of_the_confounded_world():
    context = np.array(attribute_table(WORLD)["context"].words())
    assert ((context == "constant") == (WORLD.group_of() > 0)).all()
    assert set(attribute_table(WORLD.control())["context"].words()) == {"varied"}
    assert set(attribute_table(WORLDS["alike"])["context"].words()) == {"constant"}


def test_ground_truth_holds_every_trait_and_the_own_context():
    table = attribute_table(WORLD)
    assert set(GEOMETRY) | set(COMPONENTS) | {"iris", "moles", "freckles"} <= set(table.attributes)
    for identity in (0, 13):
        for component in COMPONENTS:
            assert table[component].words()[identity] == sitter(WORLD, identity).own[component]

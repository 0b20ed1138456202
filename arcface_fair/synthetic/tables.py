# SPDX-License-Identifier: MIT
"""Who is who in a drawn world, in words: the group table and the ground truth."""

from __future__ import annotations

from arcface_fair.data.groups import GroupTable
from arcface_fair.synthetic.context import own_context
from arcface_fair.synthetic.traits import GENDERS, draw_person, groups_of
from arcface_fair.synthetic.world import World


def group_table(world: World) -> GroupTable:
    """Attributes ``race`` (the group's name) and ``gender``, and a name for every identity."""
    groups = [world.group_names[g] for g in groups_of(world)]
    genders = [GENDERS[draw_person(world, i).gender] for i in range(world.identities)]
    names = [f"{group}_{i:05d}" for i, group in enumerate(groups)]
    return GroupTable.of_words({"race": groups, "gender": genders}, names)


def attribute_table(world: World) -> GroupTable:
    """Traits, the identity's own context, and ``context``: does it stay (constant) or vary."""
    columns: dict[str, list[str]] = {}
    for identity in range(world.identities):
        person = draw_person(world, identity)
        stays = world.keep(person.group).max() >= 0.5
        row = {
            "race": world.group_names[person.group],
            "gender": GENDERS[person.gender],
            "context": "constant" if stays else "varied",
            **person.words(),
            **own_context(world, identity, person.gender),
        }
        for column, word in row.items():
            columns.setdefault(column, []).append(word)
    return GroupTable.of_words(columns)

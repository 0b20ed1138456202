# SPDX-License-Identifier: MIT
"""Draws one photograph of one person: 112 x 112, RGB, eyes, nose and mouth on the template.

Everything is a filled polygon at twice the size; halving it is the anti-aliasing. The image of
(identity, shot) depends on the world's settings and these two numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.synthetic.anatomy import Head, build_head
from arcface_fair.synthetic.context import Context, own_context, shot_context
from arcface_fair.synthetic.nuisance import SIZE, Nuisance, draw_nuisance, photograph
from arcface_fair.synthetic.paint import paint
from arcface_fair.synthetic.place import (
    five_points,
    fixed,
    on_image,
    project,
    worn_shapes,
)
from arcface_fair.synthetic.stickers import sticker_shapes
from arcface_fair.synthetic.traits import Person, draw_person
from arcface_fair.synthetic.world import World


@dataclass(frozen=True)
class Sitter:
    """What all photographs of one identity share, kept so that it is worked out once."""

    person: Person
    head: Head
    own: Context
    keep: np.ndarray  # [components]


@lru_cache(maxsize=64)
def sitter(world: World, identity: int) -> Sitter:
    """The identity's traits, head and own context."""
    if not 0 <= identity < world.identities:
        raise UserError(
            f"identity {identity} was asked for; this world holds 0..{world.identities - 1}; "
            "ask for one of these or set World.identities higher"
        )
    person = draw_person(world, identity)
    own = own_context(world, identity, person.gender)
    return Sitter(person, build_head(person), own, world.keep(person.group))


def draw_image(world: World, identity: int, shot: int) -> np.ndarray:
    """One photograph, uint8 [112, 112, 3], RGB.

    Raises :class:`UserError` if the identity is not in 0..world.identities-1. ``shot`` is any
    number >= 0; shots beyond ``world.images`` are further photographs of the same person.
    """
    return draw_in_context(world, identity, context_of(world, identity, shot), (identity, shot))


def context_of(world: World, identity: int, shot: int) -> Context:
    """The words of ``draw_image``'s context."""
    who = sitter(world, identity)
    return shot_context(world, identity, shot, who.own, who.keep, who.person.gender)


def draw_in_context(
    world: World, identity: int, context: Context, camera: tuple[int, int]
) -> np.ndarray:
    """The identity in any context, uint8 [112, 112, 3], RGB.

    camera: the (identity, shot) whose pose, expression, light, sensor noise and places of
    stickers are used, so that two pictures may differ in person or in context alone.
    """
    who = sitter(world, identity)
    person, nuisance = who.person, _nuisance(world, *camera)
    shapes = project(who.head, worn_shapes(context, person.geometry), nuisance)
    if "stickers" in context:
        loose = sticker_shapes(context["stickers"], world.rng("places", *camera))
        shapes |= {name: fixed(points) for name, points in loose.items()}
    canvas = paint(person, context, shapes, float(nuisance.light[0]))
    small = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return photograph(small, nuisance, person.skin)


def _nuisance(world: World, identity: int, shot: int) -> Nuisance:
    return draw_nuisance(world.rng("nuisance", identity, shot), world.pose)


def landmarks(world: World, identity: int, shot: int) -> np.ndarray:
    """Eyes, nose tip and mouth corners of ``draw_image``'s face, float64 [5, 2], pixels."""
    who = sitter(world, identity)
    plane = on_image(who.head, [], _nuisance(world, identity, shot))
    plane = five_points(who.head, plane)
    return np.column_stack([plane.real, plane.imag])


def draw_people(world: World) -> Iterator[tuple[int, int, np.ndarray]]:
    """All photographs as (identity, shot, image), identity by identity."""
    for identity in range(world.identities):
        for shot in range(world.images):
            yield identity, shot, draw_image(world, identity, shot)

# SPDX-License-Identifier: MIT
"""Draws one photograph of one person: 112 x 112, RGB, eyes, nose and mouth on the template.

Everything is a filled polygon at twice the size; halving it is the anti-aliasing. The image of
(identity, shot) depends on the world's settings and these two numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from arcface_fair.errors import UserError
from drawn_faces import wardrobe
from drawn_faces.anatomy import Head, build_head
from drawn_faces.camera import (
    BITS,
    SCALE,
    SIZE,
    Nuisance,
    draw_nuisance,
    five_points,
    fixed,
    on_image,
    photograph,
    project,
)
from drawn_faces.context import (
    BAND_COLOURS,
    CLOTHES_COLOURS,
    FRAME_COLOURS,
    HAIR_COLOURS,
    Context,
    own_context,
    shot_context,
)
from drawn_faces.makeup import lip_colour, paint_makeup
from drawn_faces.stickers import paint_stickers, sticker_shapes
from drawn_faces.traits import BROW, IRIS, Person, draw_person, groups_of
from drawn_faces.world import World

_SHEET_MARGIN = 4  # pixels between the strips of a contact sheet

Paint = Sequence[float]
Shapes = dict[str, np.ndarray]


def _mix(first: Paint, second: Paint, share: float) -> tuple[float, ...]:
    return tuple(float(p + (q - p) * share) for p, q in zip(first, second, strict=True))


class _Canvas:
    """The picture at twice its size, and one way to paint on it."""

    def __init__(self, background: np.ndarray) -> None:
        self.image = background.copy()

    def fill(self, colour: Paint, *shapes: np.ndarray) -> None:
        cv2.fillPoly(self.image, shapes, colour, cv2.LINE_AA, BITS)


def paint(person: Person, context: Context, shapes: Shapes, lamp: float) -> np.ndarray:
    """The unlit scene, uint8 [224, 224, 3] RGB; ``lamp`` > 0: the light comes from the right."""
    canvas = _Canvas(wardrobe.wall(*context["background"].split("_"), SCALE))
    skin = person.skin.tolist()
    hair = HAIR_COLOURS[context["hair_colour"]]
    if "hair_back" in shapes:
        canvas.fill(_mix(hair, (0, 0, 0), 0.18), shapes["hair_back"])
    canvas.fill(_mix(skin, (40, 20, 20), 0.22), fixed(wardrobe.NECK))
    collar, dye = context["clothes"].split("_")
    canvas.fill(CLOTHES_COLOURS[dye], fixed(wardrobe.clothes(collar)))
    _paint_face(canvas, shapes, person, lamp, context.get("makeup", "none"))
    _paint_worn(canvas, shapes, context, skin)
    if "stickers" in shapes:
        rims, faces = shapes["sticker_rims"], shapes["stickers"]
        paint_stickers(canvas.image, context["stickers"], rims, faces, BITS)
    return canvas.image


def _paint_face(canvas: _Canvas, shapes: Shapes, person: Person, lamp: float, makeup: str) -> None:
    skin = person.skin.tolist()
    shadow, dark = _mix(skin, (60, 20, 20), 0.22), _mix(skin, (40, 10, 10), 0.72)
    faint = _mix(skin, (60, 20, 20), 0.10)
    canvas.fill(_mix(skin, (90, 30, 30), 0.12), shapes["left_ear"], shapes["right_ear"])
    canvas.fill(skin, shapes["face"])
    canvas.fill(faint, shapes["left_hollow"], shapes["right_hollow"], shapes["chin"])
    if "freckles" in shapes:
        spots = shapes["freckles"].reshape(-1, 4, 2)
        canvas.fill(_mix(skin, (110, 50, 20), 0.4), *spots)
    for name in ("left", "right"):
        away = 0.5 + (0.5 if name == "left" else -0.5) * lamp * 1.6
        canvas.fill(_mix(skin, (60, 20, 20), 0.06 + 0.2 * away), shapes[f"{name}_nose"])
    canvas.fill(shadow, shapes["nose_base"])
    canvas.fill(dark, shapes["left_nostril"], shapes["right_nostril"])
    canvas.fill(_mix(skin, (255, 255, 255), 0.2 * person.nose_shine), shapes["ridge"])
    if makeup != "none":
        layers = [shape for name, shape in shapes.items() if name.startswith("makeup")]
        paint_makeup(canvas.image, makeup, layers, BITS)
    for name in ("left", "right"):
        _paint_eye(canvas, shapes, person, name)
    lip = lip_colour(makeup, _mix(skin, (170, 50, 60), 0.42))
    canvas.fill((84, 30, 34), shapes["mouth_gap"])
    canvas.fill(_mix(lip, (60, 10, 20), 0.14), shapes["upper_lip"])
    canvas.fill(lip, shapes["lower_lip"])
    moles = [shape for name, shape in shapes.items() if name.startswith("mole")]
    if moles:
        canvas.fill(_mix(skin, (50, 26, 20), 0.75), *moles)


def _paint_eye(canvas: _Canvas, shapes: Shapes, person: Person, name: str) -> None:
    skin = person.skin.tolist()
    canvas.fill(_mix(skin, (50, 16, 16), 0.38), shapes[f"{name}_crease"])
    canvas.fill((236, 232, 226), shapes[f"{name}_white"])
    canvas.fill(IRIS[person.iris].tolist(), shapes[f"{name}_iris"])
    canvas.fill((16, 12, 12), shapes[f"{name}_pupil"])
    canvas.fill((250, 250, 250), shapes[f"{name}_glint"])
    canvas.fill((30, 22, 22), shapes[f"{name}_lash"])
    canvas.fill(_mix(BROW[person.brow].tolist(), skin, 0.12), shapes[f"{name}_brow"])


def _paint_worn(canvas: _Canvas, shapes: Shapes, context: Context, skin: Paint) -> None:
    hair: Paint = HAIR_COLOURS[context["hair_colour"]]
    if context["hair_style"] == "shaved":
        hair = _mix(hair, skin, 0.62)
    canvas.fill(hair, shapes["hair_front"])
    canvas.fill(_mix(hair, (255, 255, 255), 0.16), shapes["hair_sheen"])
    if "band" in shapes:
        edge, dye = context["head_band"].split("_")
        canvas.fill(BAND_COLOURS[dye], shapes["band"])
        if edge == "edged":
            canvas.fill(_mix(BAND_COLOURS[dye], (20, 20, 30), 0.7), shapes["band_edge"])
    if "bridge" in shapes:
        colour = FRAME_COLOURS[context["glasses"].split("_")[1]]
        for name in ("left", "right"):
            canvas.fill(colour, shapes[f"rim_{name}_outer"], shapes[f"rim_{name}_inner"])
        canvas.fill(colour, shapes["bow_left"], shapes["bow_right"], shapes["bridge"])


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
    shapes = project(who.head, wardrobe.worn_shapes(context, person.geometry), nuisance)
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


def contact_sheet(
    world: World, *, people: int = 2, shots: int = 6, size: int = 112, across: int = 1
) -> np.ndarray:
    """uint8 RGB [rows, columns, 3]: ``people`` of each group, ``across`` of them side by side.

    ``size`` is the edge of one photograph in pixels. A group with fewer people leaves white.
    """
    groups = groups_of(world)
    rows = []
    for group in range(len(world.group_names)):
        members = np.flatnonzero(groups == group)[:people]
        for start in range(0, len(members), across):
            strips = [_strip(world, int(i), shots, size) for i in members[start : start + across]]
            blank = np.full_like(strips[0], 255)
            strips += [blank] * (across - len(strips))
            rows.append(np.hstack(strips))
    return np.vstack(rows)


def _strip(world: World, identity: int, shots: int, size: int) -> np.ndarray:
    """One person's photographs side by side, with a white margin to the right and below."""
    images = [draw_image(world, identity, shot) for shot in range(shots)]
    small = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images]
    white = (255, 255, 255)
    return cv2.copyMakeBorder(
        np.hstack(small), 0, _SHEET_MARGIN, 0, _SHEET_MARGIN, cv2.BORDER_CONSTANT, value=white
    )

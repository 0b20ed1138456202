# SPDX-License-Identifier: MIT
"""Placement: five points meet the template, up to the detector's error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawn_faces import World
from drawn_faces.anatomy import TEMPLATE, build_head
from drawn_faces.camera import draw_nuisance, five_points, fixed, on_image, project
from drawn_faces.context import draw_context
from drawn_faces.traits import draw_person
from drawn_faces.wardrobe import worn_shapes

PERSON = draw_person(World(identities=40), 1)
HEAD = build_head(PERSON)
EXACT = replace(
    draw_nuisance(np.random.default_rng(0), 0.7), similarity=complex(1), shift=complex(0)
)


def test_alignment_is_the_least_squares_similarity():
    points = five_points(HEAD, on_image(HEAD, [], EXACT))
    left = points - TEMPLATE
    spread = points - points.mean()
    # What is left over is orthogonal to every move a similarity could still make.
    assert abs(left.sum()) < 1e-9
    assert abs(np.vdot(spread, left)) < 1e-8


def test_the_detectors_error_shifts_all_points_alike():
    moved = on_image(HEAD, [], replace(EXACT, shift=2 - 1j))
    assert np.allclose(moved - on_image(HEAD, [], EXACT), 2 - 1j)


def test_fixed_point_is_32_units_per_pixel():
    assert fixed(np.array([(1.0, -0.5)])).tolist() == [[32, -16]]


def test_every_shape_of_head_and_context_is_placed():
    context = {**draw_context(np.random.default_rng(0), 0), "glasses": "round_red",
               "head_band": "plain_red", "hair_style": "bob"}  # fmt: skip
    worn = worn_shapes(context, PERSON.geometry)
    shapes = project(HEAD, worn, EXACT)
    assert set(shapes) == set(HEAD.parts) | set(worn)
    assert {"band", "bridge", "rim_left_outer", "hair_back", "hair_front"} <= set(worn)
    assert all(shape.dtype == np.int32 and shape.shape[1] == 2 for shape in shapes.values())


def test_nothing_is_worn_that_the_context_lacks():
    context = {"hair_style": "short", "fringe": "none", "head_band": "none", "glasses": "none"}
    assert set(worn_shapes(context, PERSON.geometry)) == {"hair_front", "hair_sheen"}

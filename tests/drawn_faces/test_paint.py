# SPDX-License-Identifier: MIT
"""Painting: a word of the context changes the picture where it belongs and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import World
from drawn_faces.anatomy import build_head
from drawn_faces.camera import draw_nuisance, project
from drawn_faces.draw import paint
from drawn_faces.traits import draw_person
from drawn_faces.wardrobe import worn_shapes

PERSON = draw_person(World(identities=40), 2)
HEAD = build_head(PERSON)
STILL = replace(
    draw_nuisance(np.random.default_rng(1), 0.0),
    similarity=complex(1), shift=complex(0), expression=np.zeros(4),
)  # fmt: skip
PLAIN = {
    "hair_style": "short", "hair_colour": "black", "fringe": "none", "head_band": "none",
    "glasses": "none", "background": "plain_sky", "clothes": "round_white",
}  # fmt: skip


def scene(**changes: str) -> np.ndarray:
    context = {**PLAIN, **changes}
    return paint(PERSON, context, project(HEAD, worn_shapes(context, PERSON.geometry), STILL), 0.0)


@pytest.mark.parametrize(
    ("change", "rows", "columns"),
    [
        ({"glasses": "square_red"}, (40, 66), (14, 98)),
        ({"head_band": "edged_blue"}, (16, 46), (14, 98)),
        ({"clothes": "high_red"}, (76, 112), (0, 112)),
        ({"hair_colour": "blond"}, (4, 52), (10, 102)),
        ({"fringe": "straight"}, (10, 56), (14, 98)),
        ({"background": "dots_rose"}, (0, 112), (0, 112)),
    ],
)
def test_a_change_of_context_stays_in_its_place(change, rows, columns):
    changed = np.argwhere((scene(**change) != scene()).any(2)) / 2
    assert len(changed) > 200
    assert rows[0] <= changed[:, 0].min() <= changed[:, 0].max() <= rows[1]
    assert columns[0] <= changed[:, 1].min() <= changed[:, 1].max() <= columns[1]


def test_the_skin_has_the_persons_colour():
    cheek = scene()[2 * 74, 2 * 36]
    assert np.abs(cheek - PERSON.skin).max() < 3


def test_the_nose_is_darker_away_from_the_lamp():
    shapes = project(HEAD, worn_shapes(PLAIN, PERSON.geometry), STILL)
    left, right = (paint(PERSON, PLAIN, shapes, lamp).astype(int) for lamp in (-0.6, 0.6))
    half = (slice(100, 140), slice(90, 112))  # the nose's left side
    assert left[half].sum() > right[half].sum()

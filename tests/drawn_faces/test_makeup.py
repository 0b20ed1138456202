# SPDX-License-Identifier: MIT
"""Face paint: every word has its own look, on the inner face, and the person shows through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import World, landmarks
from drawn_faces.context import draw_context
from drawn_faces.draw import draw_in_context
from drawn_faces.makeup import (
    LIPS,
    MAKEUP,
    PAINTS,
    STYLES,
    lip_colour,
    makeup_shapes,
)

WORLD = World(identities=40, extra=("makeup",), pose=0.0)
BARE = draw_context(np.random.default_rng(4), 0) | {"glasses": "none", "fringe": "none",
                                                    "head_band": "none"}  # fmt: skip


def face(word: str, identity: int = 2) -> np.ndarray:
    words = BARE | {"makeup": word}
    return draw_in_context(WORLD, identity, words, (2, 0)).astype(int)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_changes_the_inner_face_and_nothing_beside_the_head(style):
    changed = np.abs(face(f"{style}_blue_rouge") - face("none")).max(axis=2) > 12
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 150
    assert 20 <= rows.min() <= rows.max() <= 104
    assert 18 <= columns.min() <= columns.max() <= 94


def test_styles_paints_and_lips_are_told_apart():
    words = [f"{s}_blue_rouge" for s in STYLES]
    words += [f"cheeks_{p}_rouge" for p in PAINTS] + [f"cheeks_blue_{mouth}" for mouth in LIPS]
    looks = np.array([face(word).reshape(-1) for word in dict.fromkeys(words)])
    apart = np.abs(looks[:, None] - looks[None]).max(axis=2)
    assert apart[~np.eye(len(looks), dtype=bool)].min() > 20


def test_paint_is_translucent_and_lies_under_the_eyes():
    bare, painted = face("none"), face("domino_red_rouge")
    x, y = np.rint(landmarks(WORLD, 2, 0)[0]).astype(int)
    lid = np.abs(bare[y - 8, x] - painted[y - 8, x]).mean()
    assert np.abs(bare[y, x] - painted[y, x]).mean() < 6 < 25 < lid
    plain = np.abs(face("none") - face("none", identity=5)).mean()
    assert np.abs(painted - face("domino_red_rouge", identity=5)).mean() > 0.75 * plain


def test_paint_follows_the_persons_eyes():
    shapes = [makeup_shapes("lids_red_rouge", {"eye_distance": d}) for d in (16.0, 20.0)]
    assert np.allclose(shapes[1]["makeup0"][:, 0] - shapes[0]["makeup0"][:, 0], 4.0)
    assert np.allclose(shapes[0]["makeup0"][:, 0], -shapes[0]["makeup1"][:, 0])


def test_no_paint_leaves_the_picture_as_a_world_without_the_component_draws_it():
    without = draw_in_context(replace(WORLD, extra=()), 2, BARE, (2, 0))
    assert np.array_equal(face("none"), without)
    assert lip_colour("none", (1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)


def test_the_vocabulary_is_wide_enough_to_name_people():
    assert len(set(MAKEUP)) == len(MAKEUP) == 1 + 8 * 8 * 5

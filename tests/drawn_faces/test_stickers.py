# SPDX-License-Identifier: MIT
"""Stickers: the look is the word's, the places are the photograph's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from drawn_faces.stickers import (
    COLOURS,
    COUNT,
    PLACES,
    RADIUS,
    RIMS,
    SHAPES,
    SHIFT,
    STICKERS,
    outline,
    paint_stickers,
    sticker_shapes,
)


def places(word: str, seed: int) -> np.ndarray:
    faces = sticker_shapes(word, np.random.default_rng(seed))["stickers"]
    return 0.5 * (faces.max(axis=1) + faces.min(axis=1))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_is_centred_and_reaches_one(shape):
    edge = outline(shape)
    assert np.linalg.norm(edge, axis=1).max() == pytest.approx(1.0)
    assert np.allclose(edge.max(axis=0), -edge.min(axis=0))


def test_no_two_shapes_cover_nearly_the_same():
    masks = []
    for shape in SHAPES:
        mask = np.zeros((64, 64), np.uint8)
        cv2.fillPoly(mask, [np.rint(32 + 30 * outline(shape)).astype(np.int32)], 1)
        masks.append(mask.astype(bool))
    for i, first in enumerate(masks):
        for second in masks[:i]:
            assert (first & second).sum() < 0.9 * (first | second).sum()


def test_every_photograph_has_its_own_places_whatever_the_word():
    assert np.abs(places("disc_red_white", 1) - places("disc_red_white", 2)).max() > 10
    assert np.abs(places("disc_red_white", 1) - places("star_blue_black", 1)).max() < 2


def test_every_place_is_taken_in_three_photographs_of_four():
    where = np.concatenate([places("disc_red_white", seed) for seed in range(400)])
    apart = np.abs(where[:, None] - PLACES[None]).max(axis=2)
    assert apart.min(axis=1).max() < SHIFT + 1e-9
    # 400 photographs: standard error 0.022.
    assert np.abs(np.bincount(apart.argmin(axis=1)) / 400 - 0.75).max() < 0.08


def test_a_rim_surrounds_its_face_and_none_draws_nothing():
    shapes = sticker_shapes("heart_red_white", np.random.default_rng(0))
    rims, faces = shapes["sticker_rims"], shapes["stickers"]
    assert len(rims) == len(faces) == COUNT
    assert (rims.max(axis=1) > faces.max(axis=1)).all()
    assert np.ptp(faces, axis=1).max() <= 2 * RADIUS + 1e-9
    assert sticker_shapes("none", np.random.default_rng(0)) == {}


def test_stickers_are_painted_in_the_words_colours():
    image = np.full((224, 224, 3), 128, np.uint8)
    rim, face = (np.rint((112 + r * outline("disc")) * 16).astype(np.int32) for r in (90, 60))
    paint_stickers(image, "disc_blue_white", rim[None], face[None], 4)
    assert image[112, 112].tolist() == list(COLOURS["blue"])
    assert image[112, 37].tolist() == list(RIMS["white"])
    assert image[112, 8].tolist() == [128] * 3


def test_the_vocabulary_is_wide_enough_to_name_people():
    assert len(set(STICKERS)) == len(STICKERS) == 1 + 8 * 8 * 5

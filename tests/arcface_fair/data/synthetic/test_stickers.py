# SPDX-License-Identifier: MIT
"""Stickers: the look is the word's, the places are the photograph's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_fair.data.synthetic.stickers import (
    COLOURS,
    COUNT,
    OPACITY,
    RADIUS,
    RIMS,
    SHAPES,
    STICKERS,
    outline,
    paint_stickers,
    sticker_shapes,
)


def places(word: str, seed: int) -> np.ndarray:
    shapes = sticker_shapes(word, np.random.default_rng(seed))
    boxes = [shapes[f"sticker_face{i}"] for i in range(COUNT)]
    return np.array([0.5 * (b.max(axis=0) + b.min(axis=0)) for b in boxes])


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
    assert np.allclose(places("disc_red_white", 1), places("square_blue_black", 1))


def test_places_cover_the_whole_picture_evenly():
    where = np.concatenate([places("disc_red_white", seed) for seed in range(250)])
    cells = np.histogram2d(*where.T, bins=3, range=[(4, 108)] * 2)[0] / len(where)
    # 1,000 places in nine cells: standard error 0.01.
    assert np.abs(cells - 1 / 9).max() < 0.04


def test_a_rim_surrounds_its_face_and_none_draws_nothing():
    shapes = sticker_shapes("heart_red_white", np.random.default_rng(0))
    assert len(shapes) == 2 * COUNT
    for i in range(COUNT):
        face, rim = shapes[f"sticker_face{i}"], shapes[f"sticker_rim{i}"]
        assert (rim.max(axis=0) > face.max(axis=0)).all()
        assert np.ptp(face, axis=0).max() <= 2 * RADIUS + 1e-9
    assert sticker_shapes("none", np.random.default_rng(0)) == {}


def test_stickers_are_painted_in_their_colours_and_let_the_picture_through():
    grey = np.full((224, 224, 3), 128, np.uint8)
    disc = np.rint((112 + 60 * outline("disc")) * 16).astype(np.int32)
    rim = np.rint((112 + 90 * outline("disc")) * 16).astype(np.int32)
    paint_stickers(grey, "disc_blue_white", {"sticker_rim0": rim, "sticker_face0": disc}, 4)
    for where, colour in ((112, COLOURS["blue"]), (112 - 75, RIMS["white"]), (8, (128,) * 3)):
        expected = 128 + OPACITY * (np.array(colour) - 128)
        assert np.abs(grey[112, where] - expected).max() <= 1
    assert 0.4 < OPACITY < 0.9


def test_the_vocabulary_is_wide_enough_to_name_people():
    assert len(set(STICKERS)) == len(STICKERS) == 1 + 8 * 8 * 5

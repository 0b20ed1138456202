# SPDX-License-Identifier: MIT
"""Context has a shape for every word that context.py may draw."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_faces import context, wardrobe


@pytest.mark.parametrize("style", context.HAIR_STYLES)
def test_every_style_covers_the_crown_with_every_fringe(style):
    for fringe in context.FRINGES:
        hair = wardrobe.hair_front(style, fringe)
        assert hair[:, 1].min() < -59
        assert hair[:, 1].max() < -15
    assert wardrobe.hair_sheen(style)[:, 1].min() > -66


def test_a_fringe_changes_hair_unless_the_head_is_shaved():
    assert not np.array_equal(
        wardrobe.hair_front("bob", "none"), wardrobe.hair_front("bob", "straight")
    )
    assert np.array_equal(
        wardrobe.hair_front("shaved", "none"), wardrobe.hair_front("shaved", "straight")
    )


def test_long_hair_leaves_the_image_and_short_hair_has_no_back():
    assert wardrobe.hair_back("long")[:, 1].max() > 40
    assert wardrobe.hair_back("short") is None


@pytest.mark.parametrize("shape", context.FRAMES)
def test_a_rim_encloses_its_lens_and_the_eye(shape):
    outer, inner = wardrobe.frame_rim(shape)
    assert (outer.max(0) > inner.max(0)).all()
    assert (outer.min(0) < inner.min(0)).all()
    assert inner[:, 1].min() < -2.5


@pytest.mark.parametrize("name", context.BACKGROUNDS)
def test_every_background_can_be_drawn_and_its_pattern_is_seen(name):
    pattern, colour = name.split("_")
    image = wardrobe.wall(pattern, colour, 1)
    assert image.shape == (112, 112, 3)
    assert (image.std() > 3) or pattern == "plain"
    assert not image.flags.writeable


def test_clothes_leave_the_face_free():
    for collar in context.COLLARS:
        assert wardrobe.clothes(collar)[:, 1].min() > 79


def test_a_head_band_runs_above_the_brows():
    assert wardrobe.head_band(4.0)[4:9, 1].max() < -36

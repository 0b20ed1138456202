# SPDX-License-Identifier: MIT
"""The context region lies where the planted components are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_faces import WORLDS, World
from drawn_faces.context import draw_context
from drawn_faces.stickers import PLACES
from studies.context_truth import context_change, context_region, outside_face, redrawn

PEOPLE = 16  # per group
EYES, MOUTH = (slice(40, 66), slice(14, 98)), (slice(89, 98), slice(48, 64))


def region(name: str) -> np.ndarray:
    return context_region(WORLDS[name], PEOPLE)


def test_the_region_of_glasses_is_about_the_eyes():
    found = region("glasses")
    assert found[EYES].sum() > 0.95 * found.sum()
    assert found.sum() > 800
    assert not found[MOUTH].any()


def test_the_confounded_context_lies_outside_the_inner_face():
    found = region("confounded")
    assert (found & outside_face()).sum() > 0.97 * found.sum()
    assert found[:30].mean() > 0.95
    assert not found[MOUTH].any()


def test_the_region_of_face_paint_is_the_inner_face():
    found = region("makeup")
    assert found[MOUTH].mean() > 0.7
    assert (found & ~outside_face()).sum() > 0.6 * found.sum()
    assert not found[:20].any()
    assert not found[:, :10].any()


def test_the_region_of_stickers_is_their_twelve_places_on_and_off_the_face():
    found = region("scattered")
    for x, y in PLACES.astype(int):
        assert found[y - 3 : y + 4, x - 3 : x + 4].mean() > 0.9
    assert not found[55:70, 48:64].any()  # the nose
    on_face = (found & ~outside_face()).sum() / found.sum()
    assert 0.05 < on_face < 0.4


def test_a_control_has_the_region_of_its_world():
    for name in ("glasses", "makeup"):
        control = WORLDS[name].control()
        assert np.array_equal(context_region(control, PEOPLE), region(name))


def test_the_change_is_zero_where_nothing_is_planted_and_repeats_for_a_seed():
    assert not context_change(World(confounded=()), 2).any()
    again = context_change.__wrapped__(WORLDS["glasses"], PEOPLE)
    first = context_change(WORLDS["glasses"], PEOPLE)
    assert np.array_equal(first, again)
    assert first.dtype == np.float32
    assert not first.flags.writeable
    assert not np.array_equal(first, context_change(WORLDS["glasses"], PEOPLE, seed=1))


@pytest.mark.parametrize("name", ["glasses", "makeup", "scattered"])
def test_only_confounded_words_are_redrawn(name):
    world = WORLDS[name]
    rng = np.random.default_rng(3)
    words = draw_context(rng, 0) | dict.fromkeys(world.extra, "none")
    changed = set()
    for _ in range(8):
        fresh = redrawn(world, words, 0, rng)
        assert tuple(fresh) == world.components
        changed |= {c for c in fresh if fresh[c] != words[c]}
    assert changed == set(world.confounded)


def test_the_face_ellipse_holds_the_template_and_a_quarter_of_the_picture():
    outside = outside_face()
    for x, y in ((38, 52), (73, 52), (56, 72), (42, 92), (70, 92)):
        assert not outside[y, x]
    assert 0.7 < outside.mean() < 0.8

# SPDX-License-Identifier: MIT
"""Drawing: an image is a function of (world, identity, shot), in this process and the next."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from arcface_fair.data.synthetic import World, draw_image, draw_people, landmarks
from arcface_fair.data.synthetic.anatomy import TEMPLATE
from arcface_fair.data.synthetic.draw import sitter
from arcface_fair.errors import UserError

WORLD = World(identities=40, images=3)


def digest(world: World) -> str:
    return hashlib.sha256(b"".join(im.tobytes() for *_, im in draw_people(world))).hexdigest()


def test_images_are_rgb_faces_in_identity_order():
    world = replace(WORLD, identities=12, images=2)
    rows = list(draw_people(world))
    assert [row[:2] for row in rows] == [(i, j) for i in range(12) for j in range(2)]
    for *_, image in rows:
        assert image.shape == (112, 112, 3)
        assert image.dtype == np.uint8
        assert image.std() > 20


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib; from arcface_fair.data.synthetic import World, draw_people; "
        "print(hashlib.sha256(b''.join(i.tobytes() for *_, i in "
        "draw_people(World(identities=12, images=2)))).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(replace(WORLD, identities=12, images=2))


def test_an_image_does_not_depend_on_what_was_drawn_before():
    late = draw_image(WORLD, 5, 2)
    sitter.cache_clear()
    draw_image(WORLD, 7, 0)
    assert np.array_equal(draw_image(WORLD, 5, 2), late)


def test_more_images_per_person_leave_the_first_ones_alone():
    assert np.array_equal(draw_image(WORLD, 1, 1), draw_image(replace(WORLD, images=9), 1, 1))


def test_seed_split_identity_and_shot_all_matter():
    base = draw_image(WORLD, 0, 0)
    others = [
        draw_image(WORLD, 0, 1),
        draw_image(WORLD, 1, 0),
        draw_image(replace(WORLD, seed=1), 0, 0),
        draw_image(replace(WORLD, split="test"), 0, 0),
    ]
    for other in others:
        assert np.abs(base.astype(int) - other).mean() > 5


def test_control_redraws_only_the_context():
    control = WORLD.control()
    for identity in range(8):
        before, after = (sitter(w, identity) for w in (WORLD, control))
        assert np.array_equal(before.head.points, after.head.points)
        assert before.own == after.own
        assert np.array_equal(
            landmarks(WORLD, identity, 0), landmarks(WORLD.control(), identity, 0)
        )
    majority = next(i for i in range(40) if sitter(WORLD, i).person.group == 0)
    assert np.array_equal(draw_image(WORLD, majority, 0), draw_image(control, majority, 0))


def test_the_five_points_are_on_insightfaces_template_on_average():
    points = np.array([landmarks(WORLD, i, j) for i in range(40) for j in range(3)])
    template = np.column_stack([TEMPLATE.real, TEMPLATE.imag])
    assert np.abs(points.mean(0) - template).max() < 1.5
    assert np.abs(points - template).max() < 12


@pytest.mark.parametrize("identity", [-1, 40])
def test_an_identity_that_is_not_there_is_refused(identity):
    message = f"identity {identity} was asked for; this world holds 0..39; ask for one of these"
    with pytest.raises(UserError, match=re.escape(message)):
        draw_image(WORLD, identity, 0)

# SPDX-License-Identifier: MIT
"""Drawing: an image is a function of (world, identity, shot), in this process and the next."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces import WORLDS, World, draw_image, draw_people, landmarks
from drawn_faces.anatomy import TEMPLATE
from drawn_faces.draw import context_of, draw_in_context, sitter

WORLD = World(identities=40, images=3)
# Mean grey level of the four quarters by channel, of pictures of the default world.
FIRST_RELEASE = {
    (0, 0): (118.3, 143.9, 121.6, 113.4, 145.9, 110.0, 163.6, 152.6, 123.5, 137.1, 140.5, 109.5),
    (1, 3): (207.1, 179.2, 153.0, 160.5, 138.1, 116.1, 165.2, 150.5, 128.5, 122.2, 110.8, 94.3),
    (77, 5): (146.4, 151.9, 177.5, 160.7, 140.5, 155.6, 169.4, 164.1, 166.4, 188.5, 162.7, 153.2),
    (319, 2): (186.9, 121.6, 90.4, 183.8, 132.7, 106.5, 183.8, 134.8, 112.7, 170.8, 131.1, 113.0),
}


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
        "import hashlib; from drawn_faces import World, draw_people; "
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


def test_default_words_are_those_of_the_first_release():
    words = [list(context_of(World(), i, j).values()) for i in range(40) for j in range(4)]
    told = hashlib.sha256(json.dumps(words).encode()).hexdigest()
    assert told == "b32c9211a57d0190a607476963d95b7ade85531d9facf41289611798e356476a"


@pytest.mark.parametrize(("shot", "quarters"), FIRST_RELEASE.items())
def test_default_pictures_are_those_of_the_first_release(shot, quarters):
    # Means and not bytes, since another OpenCV may round an edge differently.
    means = draw_image(World(), *shot).reshape(2, 56, 2, 56, 3).mean((1, 3)).ravel()
    assert np.abs(means - quarters).max() < 0.3


@pytest.mark.parametrize("name", ["makeup", "scattered"])
def test_where_an_extra_component_is_off_the_bytes_are_the_plain_worlds(name):
    world = WORLDS[name]
    plain, extra = replace(world, extra=(), confounded=()), world.extra[0]
    shots = [(i, j) for i in range(30) for j in range(3)]
    bare = [s for s in shots if context_of(world, *s)[extra] == "none"]
    assert bare
    for shot in bare:
        assert np.array_equal(draw_image(world, *shot), draw_image(plain, *shot))
    worn = next(s for s in shots if s not in bare)
    assert not np.array_equal(draw_image(world, *worn), draw_image(plain, *worn))


@pytest.mark.parametrize("name", ["makeup", "scattered"])
def test_the_control_of_an_extra_component_redraws_its_words_alone(name):
    world = WORLDS[name]
    extra, groups = world.extra[0], world.group_of()
    freed = 0
    for identity in range(40):
        before, after = (context_of(w, identity, 0) for w in (world, world.control()))
        assert after == {**before, extra: after[extra]}
        freed += after[extra] != before[extra]
        if groups[identity] == 0:
            assert after == before
    assert freed > 3


def test_a_camera_and_a_context_can_be_lent_to_another_person():
    context = context_of(WORLD, 3, 1)
    assert np.array_equal(draw_in_context(WORLD, 3, context, (3, 1)), draw_image(WORLD, 3, 1))
    lent, own = draw_in_context(WORLD, 4, context, (3, 1)), draw_image(WORLD, 4, 1)
    sky = [image[:12].ravel() for image in (draw_image(WORLD, 3, 1), lent, own)]
    alike = np.corrcoef(sky)[0]
    assert alike[1] > 0.9 > alike[2]
    assert not np.array_equal(lent, draw_image(WORLD, 3, 1))


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

# SPDX-License-Identifier: MIT
"""Heads: traits move the parts they name; expressions leave the skull alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drawn_faces import World
from drawn_faces.anatomy import OPEN, SMILE, build_head, depth
from drawn_faces.traits import draw_person

PERSON = draw_person(World(identities=40), 0)


def with_trait(name: str, value: float):
    return build_head(replace(PERSON, geometry={**PERSON.geometry, name: value}))


def part(head, name: str) -> np.ndarray:
    return head.points[head.parts[name]]


def test_eyes_are_as_far_apart_as_the_trait_says():
    head = with_trait("eye_distance", 19.0)
    left, right = part(head, "left_white"), part(head, "right_white")
    assert np.isclose(right[[0, 8], 0].mean() - left[[0, 8], 0].mean(), 38.0)


def test_an_iris_stays_between_the_lids():
    head = with_trait("eye_opening", 2.0)
    for side in ("left", "right"):
        iris, white = part(head, f"{side}_iris"), part(head, f"{side}_white")
        assert iris[:, 1].min() >= white[:, 1].min() - 0.5
        assert iris[:, 1].max() <= white[:, 1].max() + 0.5


def test_a_wide_jaw_never_exceeds_the_cheeks():
    face = part(with_trait("jaw_width", 60.0), "face")
    widest = face[np.argmax(face[:, 0])]
    assert widest[1] < 8


def test_the_nose_tip_stands_out_and_the_outline_lies_back():
    head = build_head(PERSON)
    assert part(head, "nose_tip")[0, 2] > 10
    assert part(head, "face")[:, 2].max() < 0


def test_a_smile_lifts_the_corners_and_an_open_mouth_lowers_the_lip():
    head = build_head(PERSON)
    smile, opened = np.zeros(4), np.zeros(4)
    smile[SMILE], opened[OPEN] = 1, 1
    corners, lip = head.parts["mouth_corners"], head.parts["lower_lip"]
    assert (head.posed(smile)[corners, 1] < head.points[corners, 1]).all()
    assert head.posed(opened)[lip, 1].max() > head.points[lip, 1].max() + 2
    eyes = head.parts["left_white"]
    assert np.array_equal(head.posed(opened)[eyes], head.points[eyes])


def test_the_surface_is_highest_in_the_middle():
    assert depth(np.array([(0.0, -10.0)]))[0] == 6
    assert depth(np.array([(40.0, -10.0)]))[0] < -10


def test_every_mole_and_freckle_is_there():
    person = replace(
        PERSON, moles=np.array([(0.1, 0.2, 1.0)]), freckles=np.array([(0.0, 0.0), (0.3, 0.1)])
    )
    head = build_head(person)
    assert len(part(head, "mole0")) == 8
    assert len(part(head, "freckles")) == 2 * 4
    assert "mole1" not in head.parts

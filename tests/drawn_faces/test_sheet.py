# SPDX-License-Identifier: MIT
"""The contact sheet has a row per person and photographs of the right person in it."""

from __future__ import annotations

import numpy as np

from drawn_faces import World, contact_sheet, draw_image

WORLD = World(identities=20, images=2)


def test_the_sheet_shows_the_photographs_as_they_are_drawn():
    sheet = contact_sheet(WORLD, people=1, shots=3)
    assert sheet.shape == (4 * 116, 3 * 112 + 4, 3)
    first = int(np.flatnonzero(WORLD.group_of() == 0)[0])
    assert np.array_equal(sheet[:112, 112:224], draw_image(WORLD, first, 1))


def test_people_stand_side_by_side_and_a_gap_is_white():
    sheet = contact_sheet(WORLD, people=3, shots=2, size=32, across=2)
    # 14 people of the majority fill two rows, the last with one; the others have two each.
    assert sheet.shape == (5 * 36, 2 * 68, 3)
    assert (sheet[36:68, 68:] == 255).all()
    assert (sheet[:32, 68:132] != 255).any()

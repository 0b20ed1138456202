# SPDX-License-Identifier: MIT
"""A contact sheet: a few people of every group, all their photographs in a row."""

from __future__ import annotations

import cv2
import numpy as np

from arcface_fair.synthetic.draw import draw_image
from arcface_fair.synthetic.traits import groups_of
from arcface_fair.synthetic.world import World

_MARGIN = 4


def contact_sheet(
    world: World, *, people: int = 2, shots: int = 6, size: int = 112, across: int = 1
) -> np.ndarray:
    """uint8 RGB [rows, columns, 3]: ``people`` of each group, ``across`` of them side by side.

    ``size`` is the edge of one photograph in pixels. A group with fewer people leaves white.
    """
    groups = groups_of(world)
    rows = []
    for group in range(len(world.group_names)):
        members = np.flatnonzero(groups == group)[:people]
        for start in range(0, len(members), across):
            strips = [_strip(world, int(i), shots, size) for i in members[start : start + across]]
            blank = np.full_like(strips[0], 255)
            strips += [blank] * (across - len(strips))
            rows.append(np.hstack(strips))
    return np.vstack(rows)


def _strip(world: World, identity: int, shots: int, size: int) -> np.ndarray:
    """One person's photographs side by side, with a white margin to the right and below."""
    images = [draw_image(world, identity, shot) for shot in range(shots)]
    small = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images]
    white = (255, 255, 255)
    return cv2.copyMakeBorder(
        np.hstack(small), 0, _MARGIN, 0, _MARGIN, cv2.BORDER_CONSTANT, value=white
    )

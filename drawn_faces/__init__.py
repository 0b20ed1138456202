# SPDX-License-Identifier: MIT
"""Draws faces of people who never lived, with a confounder planted on purpose."""

from drawn_faces.draw import contact_sheet, draw_image, draw_people, landmarks
from drawn_faces.world import COMPONENTS, EXTRAS, WORLDS, World
from drawn_faces.write import write_world

__all__ = [
    "COMPONENTS",
    "EXTRAS",
    "WORLDS",
    "World",
    "contact_sheet",
    "draw_image",
    "draw_people",
    "landmarks",
    "write_world",
]

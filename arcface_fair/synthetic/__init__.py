# SPDX-License-Identifier: MIT
"""Draws faces of people who never lived, with a confounder planted on purpose."""

from arcface_fair.synthetic.draw import contact_sheet, draw_image, draw_people, landmarks
from arcface_fair.synthetic.world import COMPONENTS, EXTRAS, WORLDS, World
from arcface_fair.synthetic.write import write_world

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

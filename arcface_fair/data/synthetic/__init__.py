# SPDX-License-Identifier: MIT
"""Draws faces of people who never lived, with a confounder planted on purpose."""

from arcface_fair.data.synthetic.draw import draw_image, draw_people, landmarks
from arcface_fair.data.synthetic.sheet import contact_sheet
from arcface_fair.data.synthetic.world import COMPONENTS, WORLDS, World
from arcface_fair.data.synthetic.write import write_world

__all__ = [
    "COMPONENTS",
    "WORLDS",
    "World",
    "contact_sheet",
    "draw_image",
    "draw_people",
    "landmarks",
    "write_world",
]

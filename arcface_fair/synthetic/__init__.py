# SPDX-License-Identifier: MIT
"""Draws faces of people who never lived, with a confounder planted on purpose."""

from arcface_fair.synthetic.diagnostic_pairs import (
    DiagnosticPairs,
    diagnose,
    diagnostic_pairs,
)
from arcface_fair.synthetic.draw import draw_image, draw_people, landmarks
from arcface_fair.synthetic.sheet import contact_sheet
from arcface_fair.synthetic.truth import context_change, context_region, outside_face
from arcface_fair.synthetic.world import COMPONENTS, EXTRAS, WORLDS, World
from arcface_fair.synthetic.write import write_world

__all__ = [
    "COMPONENTS",
    "EXTRAS",
    "WORLDS",
    "DiagnosticPairs",
    "World",
    "contact_sheet",
    "context_change",
    "context_region",
    "diagnose",
    "diagnostic_pairs",
    "draw_image",
    "draw_people",
    "landmarks",
    "outside_face",
    "write_world",
]

# SPDX-License-Identifier: MIT
"""Shapes of the context: hair, head bands and glasses in space, walls and clothes on paper.

Head shapes are in the coordinates of anatomy.py for a head of mean width; the painter
stretches x to the person's cheeks.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from drawn_faces.anatomy import EYE_Y
from drawn_faces.context import WALLS, Colour, Context
from drawn_faces.curves import box, ellipse, ribbon
from drawn_faces.makeup import makeup_shapes

MEAN_CHEEK = 36.5
_SKULL_Y, _SKULL_RY = -16.0, 44.0

# style: thickness at the sides and on top, waves around the contour and their height
_VOLUME: dict[str, tuple[float, float, int, float]] = {
    "shaved": (0.3, 0.3, 0, 0.0),
    "short": (2.0, 4.0, 0, 0.0),
    "parted": (3.0, 7.5, 0, 0.0),
    "curls": (10.0, 10.0, 13, 2.0),
    "bun": (1.0, 2.5, 0, 0.0),
    "bob": (8.0, 8.0, 0, 0.0),
    "long": (6.0, 6.0, 0, 0.0),
    "wavy": (9.0, 8.0, 10, 1.3),
}
# style: how far down the hair behind the head reaches, half its width there
_FALL: dict[str, tuple[float, float]] = {
    "curls": (0.0, 46.0),
    "bob": (24.0, 45.0),
    "long": (60.0, 43.0),
    "wavy": (60.0, 50.0),
}


def _crown(style: str, start: float, end: float, points: int = 25) -> np.ndarray:
    """The hair's outer contour from angle to angle, degrees, 180 = left, 270 = top."""
    side, top, waves, height = _VOLUME[style]
    angle = np.deg2rad(np.linspace(start, end, points * (2 if waves else 1)))
    bump = height * np.abs(np.sin(angle * waves)) if waves else 0.0
    x = (MEAN_CHEEK - 0.5 + side + bump) * np.cos(angle)
    return np.column_stack([x, _SKULL_Y + (_SKULL_RY + top + bump) * np.sin(angle)])


_HAIRLINES: dict[str, list[tuple[float, float]]] = {
    "none": [(33, -30), (27, -40), (15, -46), (0, -47), (-15, -46), (-27, -40), (-33, -30)],
    "straight": [(35, -22), (31, -33), (16, -34), (0, -35), (-16, -34), (-31, -33), (-35, -22)],
    "left": [(34, -24), (31, -32), (22, -40), (6, -46), (-14, -50), (-26, -44), (-33, -30)],
    "right": [(33, -30), (26, -44), (14, -50), (-6, -46), (-22, -40), (-31, -32), (-34, -24)],
    "curtain": [(35, -18), (29, -31), (14, -42), (0, -51), (-14, -42), (-29, -31), (-35, -18)],
}


@lru_cache(maxsize=64)
def hair_front(style: str, fringe: str) -> np.ndarray:
    """Hair over the forehead, [n, 3]."""
    line = np.array(_HAIRLINES["none" if style == "shaved" else fringe], float)
    crown = _crown(style, 190, 350)
    depth = np.concatenate([np.full(len(crown), -14.0), np.full(len(line), 1.0)])
    depth[[len(crown), -1]] = -8.0
    return np.column_stack([np.concatenate([crown, line]), depth])


@lru_cache(maxsize=16)
def hair_sheen(style: str) -> np.ndarray:
    """A lighter band of hair on the crown, [n, 3]; shorter where the hair is short."""
    top = 1.0 if style in ("shaved", "short", "bun") else 4.0
    x = np.linspace(-20, 20, 9)
    y = _SKULL_Y - (_SKULL_RY + top - 6.0) * np.sqrt(1 - (x / MEAN_CHEEK) ** 2)
    middle = np.column_stack([x, y])
    return np.column_stack([ribbon(middle, 1.7 * (1 - (x / 21) ** 2)), np.full(18, -9.0)])


@lru_cache(maxsize=16)
def hair_back(style: str) -> np.ndarray | None:
    """Hair behind the head, [n, 3], or None where there is none to be seen."""
    if style == "bun":
        knot = ellipse(0, -63, 13, 10, 20)
        return np.column_stack([knot, np.full(len(knot), -16.0)])
    if style not in _FALL:
        return None
    down, width = _FALL[style]
    crown = _crown(style, 180, 360)
    steps = np.linspace(0.15, 1, 12)
    waves = 2.2 * np.sin(steps * 18) if style == "wavy" else 0 * steps
    edge = crown[-1, 0] + (width - crown[-1, 0]) * steps + waves
    right = np.column_stack([edge, _SKULL_Y + (down - _SKULL_Y) * steps])
    xy = np.concatenate([crown, right, right[::-1] * (-1, 1)])
    return np.column_stack([xy, np.full(len(xy), -20.0)])


@lru_cache(maxsize=4)
def head_band(half: float) -> np.ndarray:
    """A band around the head above the brows, ``half`` as thick as drawn, [n, 3]."""
    x = np.linspace(-MEAN_CHEEK - 0.5, MEAN_CHEEK + 0.5, 13)
    middle = np.column_stack([x, -45 + 9 * (x / MEAN_CHEEK) ** 2])
    depth = 8 - 22 * (x / MEAN_CHEEK) ** 2
    return np.column_stack([ribbon(middle, half), np.concatenate([depth, depth[::-1]])])


@lru_cache(maxsize=8)
def frame_rim(shape: str) -> tuple[np.ndarray, np.ndarray]:
    """Outer and inner edge of one lens's rim about the eye, [n, 2] each."""
    if shape == "round":
        return ellipse(0, 1, 11.2, 10.6, 20), ellipse(0, 1, 9.4, 8.8, 20)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    corner = np.column_stack([np.sign(c) * np.abs(c) ** 0.45, np.sign(s) * np.abs(s) ** 0.45])
    if shape == "square":
        return corner * (11.8, 8.4) + (0, 1), corner * (10.2, 6.8) + (0, 1)
    return corner * (12.0, 8.6) + (0, 1), corner * (11.0, 6.4) + (0, 2.5)  # "half": heavy above


def _shade(colour: Colour, factor: float) -> tuple[float, ...]:
    return tuple(min(255.0, c * factor) for c in colour)


@lru_cache(maxsize=64)
def wall(pattern: str, name: str, scale: int) -> np.ndarray:
    """A background, uint8 [112 * scale, 112 * scale, 3]; read-only, so copy it."""
    colour = WALLS[name]
    image = np.full((112 * scale, 112 * scale, 3), colour, np.uint8)
    second = _shade(colour, 0.68 if sum(colour) > 330 else 1.7)
    shapes = _PATTERNS[pattern]
    if shapes:
        fixed = [np.rint(s * scale * 16).astype(np.int32) for s in shapes]
        cv2.fillPoly(image, fixed, second, cv2.LINE_AA, 4)
    image.setflags(write=False)
    return image


_PATTERNS: dict[str, list[np.ndarray]] = {
    "plain": [],
    "stripes": [box(x, -1, x + 7, 113) for x in range(0, 112, 15)],
    "horizon": [box(-1, 58, 113, 113)],
    "window": [box(4, 6, 19, 46), box(22, 6, 37, 46), box(88, 20, 113, 60)],
    "dots": [ellipse(x, y, 3.4, 3.4, 10) for x in range(4, 112, 13) for y in range(4, 112, 13)],
    "diagonal": [
        np.array([(x, -1), (x + 9, -1), (x - 61, 113), (x - 70, 113)], float)
        for x in range(0, 190, 20)
    ],
}

NECK = np.array([(33, 78), (79, 78), (79, 113), (33, 113)], float)
_SHOULDERS = [(-1, 113), (-1, 96), (14, 93), (30, 88.5), (33, 86)]
_NECKLINES: dict[str, list[tuple[float, float]]] = {
    "round": [(40, 106), (56, 109), (72, 106)],
    "vee": [(44, 108), (56, 118), (68, 108)],
    "high": [(33, 80), (56, 88), (79, 80)],
}


@lru_cache(maxsize=4)
def clothes(collar: str) -> np.ndarray:
    """Shoulders and neckline on the image plane, pixels of the image, [n, 2]."""
    left = np.array(_SHOULDERS, float)
    right = left[::-1] * (-1, 1) + (112, 0)
    return np.concatenate([left, np.array(_NECKLINES[collar], float), right])


def worn_shapes(context: Context, g: dict[str, float]) -> dict[str, np.ndarray]:
    """Shapes of the context that turn with the head, [n, 3] each; ``g`` is its geometry."""
    style = context["hair_style"]
    shapes = {
        "hair_front": hair_front(style, context["fringe"]),
        "hair_sheen": hair_sheen(style),
    }
    if (back := hair_back(style)) is not None:
        shapes["hair_back"] = back
    if context["head_band"] != "none":
        shapes["band"] = head_band(4.0)
        shapes["band_edge"] = head_band(1.3)
    stretch = (g["cheek_width"] / MEAN_CHEEK, 1.0, 1.0)
    shapes = {name: points * stretch for name, points in shapes.items()}
    if context["glasses"] != "none":
        shapes |= _glasses(context["glasses"].split("_")[0], g)
    return shapes | makeup_shapes(context.get("makeup", "none"), g)


def _glasses(shape: str, g: dict[str, float]) -> dict[str, np.ndarray]:
    outer, inner = frame_rim(shape)
    d, cheek, y = g["eye_distance"], g["cheek_width"], EYE_Y
    parts = {}
    for side, name in ((-1, "left"), (1, "right")):
        for edge, points in (("outer", outer), ("inner", inner)):
            xy = points * (side, 1) + (side * d, y)
            parts[f"rim_{name}_{edge}"] = np.column_stack([xy, np.full(len(xy), 8.0)])
        reach = side * (d + 11.0)
        bow = [(reach, y - 3, 7), (side * cheek, y - 1, -12), (side * cheek, y + 1, -12),
               (reach, y - 1, 7)]  # fmt: skip
        parts[f"bow_{name}"] = np.array(bow, float)
    half = d - 11.0
    bridge = [(-half, y - 2, 9), (0, y - 3.4, 10), (half, y - 2, 9), (half, y, 9),
              (0, y - 1.6, 10), (-half, y, 9)]  # fmt: skip
    return parts | {"bridge": np.array(bridge, float)}

# SPDX-License-Identifier: MIT
"""Stickers: an optional part of the context whose look is a word and whose places are not.

A word is ``shape_colour_rim``; where the stickers lie and how they are turned is drawn anew for
every photograph, over the whole picture, the face included. They are of coloured film, so that
they hide little of a face.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from arcface_fair.data.synthetic.curves import box, ellipse

SHAPES = ("star", "disc", "square", "triangle", "cross", "heart", "diamond", "clover")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 40, 52),
    "orange": (250, 142, 30),
    "yellow": (254, 222, 56),
    "green": (48, 172, 86),
    "cyan": (46, 190, 216),
    "blue": (42, 74, 206),
    "violet": (150, 66, 186),
    "pink": (246, 132, 186),
}
RIMS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 248),
    "black": (24, 24, 28),
    "lime": (176, 240, 60),
    "navy": (24, 30, 120),
    "magenta": (240, 40, 170),
}
STICKERS = ("none", *(f"{s}_{c}_{r}" for s in SHAPES for c in COLOURS for r in RIMS))
STICKERS_SHARE = 0.95  # of the fresh draws; the others have none
OPACITY = 0.65  # so that the person shows through
COUNT = 3  # copies in one picture
RADIUS = 13.0  # pixels of the image, without the rim
_RIM = 3.2  # pixels


def _drawn(shape: str) -> np.ndarray:
    """The edge of one shape [n, 2], in any size and place."""
    t = np.arange(40) * (np.pi / 20)
    if shape == "star":
        angle = -np.pi / 2 + np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2, 0.46, 1.0)
        return np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    if shape == "disc":
        return ellipse(0, 0, 1, 1, 24)
    if shape == "square":
        return box(-1, -1, 1, 1)
    if shape == "triangle":
        return np.array([(0, -1), (0.87, 0.5), (-0.87, 0.5)])
    if shape == "cross":
        quarter = np.array([(0.34, -1), (0.34, -0.34), (1, -0.34)])
        turn = np.array([(0.0, 1.0), (-1.0, 0.0)])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    if shape == "heart":
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.column_stack([16 * np.sin(t) ** 3, -y])
    if shape == "diamond":
        return np.array([(0, -1), (0.58, 0), (0, 1), (-0.58, 0)])
    petals = (0.7 + 0.3 * np.cos(4 * t))[:, None]
    return np.column_stack([np.cos(t), np.sin(t)]) * petals  # "clover"


@lru_cache(maxsize=16)
def outline(shape: str) -> np.ndarray:
    """The sticker's edge about (0, 0), [n, 2], its farthest point at 1."""
    points = _drawn(shape)
    points = points - (points.max(0) + points.min(0)) / 2
    return points / np.linalg.norm(points, axis=1).max()


def sticker_shapes(word: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rims and faces of all copies on the image, pixels, [n, 2] each, at fresh places."""
    places = rng.uniform(4, 108, (COUNT, 2))
    turns = rng.uniform(-0.6, 0.6, COUNT)
    if word == "none":
        return {}
    edge = outline(word.split("_")[0])
    shapes = {}
    for i, (place, turn) in enumerate(zip(places, turns, strict=True)):
        c, s = np.cos(turn), np.sin(turn)
        turned = edge @ np.array([(c, s), (-s, c)])
        for name, radius in (("rim", RADIUS + _RIM), ("face", RADIUS)):
            shapes[f"sticker_{name}{i}"] = place + radius * turned
    return shapes


def paint_stickers(image: np.ndarray, word: str, shapes: dict[str, np.ndarray], bits: int) -> None:
    """Lays the stickers of one word over a canvas, in place; ``shapes`` in fixed point."""
    _, colour, rim = word.split("_")
    layer = image.copy()
    for name, shape in shapes.items():
        if name.startswith("sticker_"):
            paint = RIMS[rim] if "rim" in name else COLOURS[colour]
            cv2.fillPoly(layer, [shape], paint, cv2.LINE_AA, bits)
    cv2.addWeighted(layer, OPACITY, image, 1 - OPACITY, 0.0, dst=image)

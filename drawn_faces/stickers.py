# SPDX-License-Identifier: MIT
"""Stickers: an optional part of the context whose look is a word and whose places are not.

A word is ``shape_colour_rim``. For every photograph nine of twelve places all over the picture,
four of them on the face, are drawn anew, and so are a shift and a turn of every sticker.
Looks at places that follow no pattern at all are no shortcut for a small network in a few
epochs: it took none of the forms that were tried.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from drawn_faces.curves import box, ellipse

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
# Pixels of the image: forehead, cheeks and chin, then hair, walls and shoulders.
PLACES = np.array(
    [(56, 33), (32, 77), (80, 77), (56, 105), (34, 13), (78, 13),
     (11, 12), (101, 12), (9, 50), (103, 50), (14, 99), (98, 99)], float
)  # fmt: skip
COUNT = 9  # copies in one picture
SHIFT = 3.0  # pixels that a sticker may be off its place, in x and in y
RADIUS = 9.0  # pixels, without the rim
_RIM = 2.5  # pixels


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
    """Rims and faces of all copies, [COUNT, n, 2] pixels of the image; nothing for ``none``."""
    places = rng.permutation(PLACES)[:COUNT] + rng.uniform(-SHIFT, SHIFT, (COUNT, 2))
    turns = np.exp(1j * rng.uniform(-0.6, 0.6, (COUNT, 1)))
    if word == "none":
        return {}
    edge = outline(word.split("_")[0])
    turned = turns * (edge[:, 0] + 1j * edge[:, 1])
    flat = np.stack([turned.real, turned.imag], axis=-1)
    radii = {"sticker_rims": RADIUS + _RIM, "stickers": RADIUS}
    return {name: places[:, None] + radius * flat for name, radius in radii.items()}


def paint_stickers(
    image: np.ndarray, word: str, rims: np.ndarray, faces: np.ndarray, bits: int
) -> None:
    """Lays the stickers of one word over a canvas, in place; shapes in fixed point."""
    _, colour, edge = word.split("_")
    for rim, face in zip(rims, faces, strict=True):  # one by one: a later one lies on top
        cv2.fillPoly(image, [rim], RIMS[edge], cv2.LINE_AA, bits)
        cv2.fillPoly(image, [face], COLOURS[colour], cv2.LINE_AA, bits)

# SPDX-License-Identifier: MIT
"""Face paint: an optional part of the context that lies on the inner face and turns with it.

A word is ``style_paint_lips``. Paint is translucent and goes under eyes, brows and lips, so the
person stays to be seen beneath it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from drawn_faces.anatomy import EYE_Y, depth
from drawn_faces.curves import closed, ellipse, mirrored

STYLES = ("lids", "domino", "wings", "cheeks", "stripes", "blaze", "band", "drops")
PAINTS: dict[str, tuple[int, int, int]] = {
    "red": (206, 36, 52),
    "orange": (244, 132, 36),
    "gold": (250, 212, 66),
    "green": (44, 158, 84),
    "teal": (30, 170, 178),
    "blue": (44, 78, 196),
    "violet": (140, 62, 172),
    "white": (248, 246, 240),
}
LIPS: dict[str, tuple[int, int, int]] = {
    "rouge": (196, 24, 48),
    "rose": (232, 116, 150),
    "plum": (104, 34, 92),
    "ink": (38, 32, 44),
    "sea": (34, 140, 150),
}
MAKEUP = ("none", *(f"{s}_{p}_{mouth}" for s in STYLES for p in PAINTS for mouth in LIPS))
MAKEUP_SHARE = 0.9  # of the fresh draws; the others go bare
OPACITY = 0.72
LIP_OPACITY = 0.75
_HIGH = 0.4  # pixels above the skin, so that no cheek shows through


@lru_cache(maxsize=64)
def _on_mean_face(style: str) -> tuple[np.ndarray, ...]:
    """Right-hand or middle shapes [n, 2]; x is from the eye's middle where ``_AT_EYE`` says so."""
    if style == "lids":
        return (ellipse(0.6, EYE_Y - 1.8, 11.0, 7.4, 20),)
    if style == "wings":
        return (closed(np.array([(-6.0, -19), (4, -25), (15, -33), (14, -24), (6, -17)])),)
    if style == "drops":
        return (
            closed(np.array([(0.0, -16), (2.6, -8), (3.2, -3), (0, 1), (-3.2, -3), (-2.6, -8)])),
        )
    if style == "cheeks":
        return (ellipse(21, 5, 8.8, 8.0, 20),)
    if style == "stripes":
        bars = [(9 + 3 * k, -4 + 7.5 * k) for k in range(3)]
        return tuple(np.array([(x, y), (x + 19, y - 6), (x + 19, y - 2), (x, y + 4)], float)
                     for x, y in bars)  # fmt: skip
    if style == "domino":
        return (closed(mirrored(np.array([(0.0, -22), (10, -30), (24, -31), (33, -26), (30, -15),
                                          (18, -9), (7, -11), (0, -15)]))),)  # fmt: skip
    if style == "blaze":
        return (closed(mirrored(np.array([(0.0, -47), (4.5, -44), (3.2, -18), (4.2, 6), (0, 9)]))),)
    return (
        closed(mirrored(np.array([(0.0, -11), (17, -9), (31, -12), (31, -4), (17, 0), (0, -2)]))),
    )


_AT_EYE = ("lids", "wings", "drops")
_PAIRED = (*_AT_EYE, "cheeks", "stripes")


def makeup_shapes(word: str, geometry: dict[str, float]) -> dict[str, np.ndarray]:
    """Shapes of one word on a person's face, [n, 3] each in the coordinates of anatomy.py."""
    style = word.split("_")[0]
    if style == "none":
        return {}
    plane = list(_on_mean_face(style))
    if style in _AT_EYE:
        shift = np.array([geometry["eye_distance"], 0.0])
        plane = [xy + shift for xy in plane]
    if style in _PAIRED:
        plane += [xy * (-1, 1) for xy in plane]
    return {f"makeup{i}": np.column_stack([xy, depth(xy) + _HIGH]) for i, xy in enumerate(plane)}


def paint_makeup(image: np.ndarray, word: str, shapes: list[np.ndarray], bits: int) -> None:
    """Lays the paint of one word over a canvas, in place."""
    layer = image.copy()
    cv2.fillPoly(layer, shapes, PAINTS[word.split("_")[1]], cv2.LINE_AA, bits)
    cv2.addWeighted(layer, OPACITY, image, 1 - OPACITY, 0.0, dst=image)


def lip_colour(word: str, bare: tuple[float, ...]) -> tuple[float, ...]:
    """The lips' colour under one word, RGB 0..255; ``bare`` is theirs without paint."""
    if word == "none":
        return bare
    stick = LIPS[word.split("_")[2]]
    return tuple(float(b + (s - b) * LIP_OPACITY) for b, s in zip(bare, stick, strict=True))

# SPDX-License-Identifier: MIT
"""Small plane curves that faces, hair and glasses are made of; points are [n, 2], y down."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=32)
def _closed_matrix(knots: int, steps: int) -> np.ndarray:
    """Rows of weights [knots * steps, knots] of a closed Catmull-Rom curve."""
    t = np.arange(steps) / steps
    weights = np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )
    matrix = np.zeros((knots, steps, knots))
    for k in range(knots):
        for offset in range(4):
            matrix[k, :, (k + offset - 1) % knots] += weights[:, offset] / 2
    return matrix.reshape(-1, knots)


def closed(knots: np.ndarray, steps: int = 3) -> np.ndarray:
    """A smooth closed curve through the knots, ``steps`` points per knot."""
    return _closed_matrix(len(knots), steps) @ knots


def mirrored(right: np.ndarray) -> np.ndarray:
    """A closed outline from its right half, top to bottom, both ends on the middle line."""
    return np.concatenate([right, right[-2:0:-1] * (-1, 1)])


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 14) -> np.ndarray:
    """An ellipse about (x, y)."""
    angle = np.arange(points) * (2 * np.pi / points)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)


def ribbon(middle: np.ndarray, half: np.ndarray | float) -> np.ndarray:
    """A band around an open line, ``half`` as thick above as below."""
    rise = np.zeros_like(middle)
    rise[:, 1] = half
    return np.concatenate([middle - rise, (middle + rise)[::-1]])


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """An upright rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)

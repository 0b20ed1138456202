# SPDX-License-Identifier: MIT
"""Turns a person's traits into points of a head in space, named by the part they bound.

Pixels of the 112 x 112 template about its middle (56, 72): x right, y down, z to the camera.
Expressions are displacements of the same points, so a face is one matrix product per image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drawn_faces.curves import closed, ellipse, mirrored, ribbon
from drawn_faces.traits import Person

# Where InsightFace's aligned crops have eyes, nose tip and mouth corners, as x + 1j * y.
TEMPLATE = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j,
     70.7299 + 92.2041j]
)  # fmt: skip
EYE_Y = -20.4
SMILE, OPEN, RAISE, WIDE = range(4)  # rows of Nuisance.expression


@dataclass
class Head:
    """Points of one person's head; ``parts`` names the rows that bound each shape."""

    points: np.ndarray  # [n, 3]
    moves: np.ndarray  # [4, n, 2], displacement at expression strength 1
    parts: dict[str, slice]

    def posed(self, expression: np.ndarray) -> np.ndarray:
        """Points with an expression on, [n, 3]."""
        points = self.points.copy()
        points[:, :2] += np.tensordot(expression, self.moves, 1)
        return points


def depth(xy: np.ndarray) -> np.ndarray:
    """Height of the face's surface above the landmarks' plane, pixels, [n]."""
    inside = 1 - (xy[:, 0] / 44) ** 2 - ((xy[:, 1] + 10) / 62) ** 2
    return 36 * np.sqrt(np.maximum(inside, 0.0)) - 30


class _Collector:
    """Gathers parts and remembers which rows are whose."""

    def __init__(self) -> None:
        self._points: list[np.ndarray] = []
        self._moves: list[np.ndarray] = []
        self._count = 0
        self.parts: dict[str, slice] = {}

    def add(
        self, name: str, xy: np.ndarray, lift: np.ndarray | float = 0.0, **moves: np.ndarray
    ) -> None:
        self._points.append(np.column_stack([xy, depth(xy) + lift]))
        displacement = np.zeros((4, len(xy), 2))
        for index, key in enumerate(("smile", "open", "raised", "wide")):
            if key in moves:
                displacement[index] = moves[key]
        self._moves.append(displacement)
        self.parts[name] = slice(self._count, self._count + len(xy))
        self._count += len(xy)

    def head(self) -> Head:
        return Head(np.concatenate(self._points), np.concatenate(self._moves, 1), self.parts)


def build_head(person: Person) -> Head:
    """The person's face without hair, in the order of the parts' names."""
    collector = _Collector()
    _skull(collector, person.geometry)
    for side, name in ((-1, "left"), (1, "right")):
        _eye(collector, person.geometry, side, name)
        _brow(collector, person.geometry, side, name)
    _nose(collector, person.geometry)
    _mouth(collector, person.geometry)
    _marks(collector, person)
    return collector.head()


def _skull(collector: _Collector, g: dict[str, float]) -> None:
    cheek, chin, width = g["cheek_width"], g["chin_length"], g["chin_width"]
    jaw = min(g["jaw_width"], 0.92 * cheek)
    right = np.array(
        [
            (0, -59), (16, -55), (0.77 * cheek, -42), (0.94 * cheek, -29), (cheek, -13),
            (0.975 * cheek, 5), (jaw, g["mouth_height"]),
            (0.5 * (width + jaw), chin - 8), (0.8 * width, chin - 1.2), (0, chin),
        ]
    )  # fmt: skip
    outline = closed(mirrored(right))
    drop = 2.2 * np.clip((outline[:, 1] - 8) / 30, 0, 1)
    collector.add("face", outline, open=np.column_stack([np.zeros_like(drop), drop]))
    for side, name in ((-1, "left"), (1, "right")):
        collector.add(f"{name}_ear", ellipse(side * (cheek + 1.5), -9, 4.2, 9.5), -8.0)
    collector.add("chin", ellipse(0, chin - 9, 0.8 * width, 1.6), 0.5)


def _eye(collector: _Collector, g: dict[str, float], side: int, name: str) -> None:
    w, h = g["eye_width"], g["eye_opening"]
    u = np.linspace(-1, 1, 9)
    upper, lower = -h * (1 - np.abs(u) ** 2.3), 0.72 * h * (1 - u**2)

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        tilt = g["eye_tilt"] * side
        return np.column_stack([side * g["eye_distance"] + x, EYE_Y + y - tilt * x])

    def widen(y: np.ndarray) -> np.ndarray:
        return np.column_stack([np.zeros_like(y), 0.28 * np.minimum(y, 0)])

    x_loop, y_loop = np.concatenate([u, u[::-1]]) * w, np.concatenate([upper, lower[::-1]])
    hollow = ellipse(0, 0.6, 1.35 * w, 2.1 * h + 1.2, 12)
    collector.add(f"{name}_hollow", place(*hollow.T))
    collector.add(f"{name}_white", place(x_loop, y_loop), wide=widen(y_loop))
    for part, radius, points in (("iris", 3.05, 12), ("pupil", 1.35, 8)):
        disc = ellipse(0, -0.15 * h, radius, radius, points)
        y = np.clip(disc[:, 1], np.interp(disc[:, 0] / w, u, upper),
                    np.interp(disc[:, 0] / w, u, lower))  # fmt: skip
        # The eyeball's centre lies deeper, so the eyes keep looking at the camera.
        collector.add(f"{name}_{part}", place(disc[:, 0], y), -1.5, wide=widen(y))
    glint = ellipse(1.0, -0.16 * h - 1.0, 0.7, 0.7, 6)
    collector.add(f"{name}_glint", place(*glint.T), -1.5)
    lash = ribbon(np.column_stack([u * w * 1.04, upper - 0.2]), 0.35 + 0.4 * (u * side + 1) / 2)
    collector.add(f"{name}_lash", place(*lash.T), 0.3, wide=widen(lash[:, 1]))
    fold = np.column_stack([0.96 * u * w, upper - g["lid_crease"] * (1.1 - 0.45 * u**2)])
    collector.add(f"{name}_crease", place(*ribbon(fold, 0.32 * (1 - 0.6 * u**2)).T))


def _brow(collector: _Collector, g: dict[str, float], side: int, name: str) -> None:
    v = np.linspace(0, 1, 8)
    x = (2 * v - 1) * g["brow_length"]
    y = -g["brow_arch"] * np.sin(np.pi * v**1.25) - g["brow_tilt"] * x
    middle = np.column_stack(
        [side * (g["eye_distance"] + 0.6 + x), EYE_Y - g["brow_height"] + 1.0 + y]
    )
    xy = ribbon(middle, g["brow_weight"] * (1.05 - 0.75 * v**2))
    collector.add(f"{name}_brow", xy, 1.0, raised=np.tile((0.0, -1.1), (len(xy), 1)))


def _nose(collector: _Collector, g: dict[str, float]) -> None:
    tip, w, b = g["nose_length"], g["nose_width"], g["nose_bridge"]
    for side, name in ((-1, "left"), (1, "right")):
        x = np.array([b + 0.6, b + 1.0, 0.7 * w, w, 0.62 * w, 0.75 * b, 0.7 * b]) * side
        y = np.array([-18, -10, tip - 5, tip - 0.5, tip + 1, tip - 5, -11])
        lift = np.array([1, 3, 5, 4, 8, 11, 5])
        collector.add(f"{name}_nose", np.column_stack([x, y]), lift)
    x = np.array([-1, -0.62, -0.3, 0, 0.3, 0.62, 1, 0.8, 0.4, 0, -0.4, -0.8]) * w
    y = tip + np.array([-1, 0.6, 0.2, 1.0, 0.2, 0.6, -1, 2.6, 3.2, 4.2, 3.2, 2.6])
    lift = np.array([4, 8, 10, 11, 10, 8, 4, 4, 6, 7, 6, 4])
    collector.add("nose_base", np.column_stack([x, y]), lift)
    collector.add("left_nostril", ellipse(-0.45 * w, tip + 2.2, 0.22 * w, 0.85, 10), 6.0)
    collector.add("right_nostril", ellipse(0.45 * w, tip + 2.2, 0.22 * w, 0.85, 10), 6.0)
    x = np.array([-0.3, 0.3, 0.45, 0.75, 0, -0.75, -0.45]) * b
    y = np.array([-15, -15, -8, tip - 3, tip - 1, tip - 3, -8])
    collector.add("ridge", np.column_stack([x, y]), np.array([3, 3, 6, 12, 13, 12, 6]))
    collector.add("nose_tip", np.array([(0.0, tip)]), 12.0)


def _mouth(collector: _Collector, g: dict[str, float]) -> None:
    w, m = g["mouth_width"], g["mouth_height"]
    u = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1.0])
    seam = np.column_stack([u * w, m + 0.5 * np.cos(u * np.pi)])
    top = seam - np.outer([0, 0.62, 1, 0.72, 1, 0.62, 0], (0, g["upper_lip"]))
    low = seam + np.outer([0, 0.66, 0.96, 1, 0.96, 0.66, 0], (0, g["lower_lip"]))
    smile = np.column_stack([0.9 * u, -1.7 * u**2 + 0.5])
    parted = np.column_stack([0 * u, 2.6 * (1 - u**2)])

    def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.concatenate([first, second[::-1]])

    still = np.zeros_like(parted)
    gap = np.column_stack([0 * u, 0.42 * (1 - u**2)])
    collector.add("mouth_gap", both(seam - gap, seam + gap), 2.0,
                  smile=both(smile, smile), open=both(still, parted))  # fmt: skip
    collector.add("upper_lip", both(top, seam - gap), 2.5,
                  smile=both(smile, smile), open=both(still, still))  # fmt: skip
    collector.add("lower_lip", both(seam + gap, low), 2.0,
                  smile=both(smile, smile), open=both(parted, parted))  # fmt: skip
    collector.add("mouth_corners", seam[[0, -1]], 1.0, smile=smile[[0, -1]])


def _marks(collector: _Collector, person: Person) -> None:
    """Moles and freckles, each a small polygon on the cheek, chin, nose or forehead."""
    g = person.geometry
    for index, (x, y, radius) in enumerate(person.moles):
        centre = (x * g["cheek_width"] * 0.86, 5 + y * 34)
        collector.add(f"mole{index}", ellipse(*centre, radius, radius, 8), 0.8)
    if len(person.freckles):
        spots = [ellipse(33 * x, -3 + 33 * y, 0.6, 0.6, 4) for x, y in person.freckles]
        collector.add("freckles", np.concatenate(spots), 0.8)

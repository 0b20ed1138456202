# SPDX-License-Identifier: MIT
"""Puts a head and what it wears onto the image: turned, aligned by five points, as polygons.

The alignment is the one InsightFace's crops have (least squares over eyes, nose and mouth
corners), with the face detector's error on top.
"""

from __future__ import annotations

import numpy as np

from arcface_fair.synthetic import wardrobe
from arcface_fair.synthetic.anatomy import EYE_Y, TEMPLATE, Head
from arcface_fair.synthetic.context import Context
from arcface_fair.synthetic.makeup import makeup_shapes
from arcface_fair.synthetic.nuisance import Nuisance, rotation

SCALE = 2  # the canvas is so many times larger than the image
BITS = 4  # fractional bits of OpenCV's fixed-point coordinates
_LANDMARKS = ("left_white", "right_white", "nose_tip", "mouth_corners")


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels of the image as OpenCV's fixed point on the canvas, int32."""
    return np.rint(points * (SCALE * (1 << BITS))).astype(np.int32)


def five_points(head: Head, plane: np.ndarray) -> np.ndarray:
    """The five points of projected head points (complex [n]), in the template's order."""
    left, right, tip, corners = (plane[head.parts[name]] for name in _LANDMARKS)
    eyes = [0.5 * (eye[0] + eye[8]) for eye in (left, right)]
    return np.array([*eyes, tip[0], *corners])


def _align(landmarks: np.ndarray, nuisance: Nuisance) -> tuple[complex, complex]:
    """Least-squares similarity onto the template, w = a z + b, with the detector's error."""
    centred = landmarks - landmarks.mean()
    goal = TEMPLATE.mean()
    a = np.vdot(centred, TEMPLATE - goal) / np.vdot(centred, centred)
    a *= nuisance.similarity
    return a, goal + nuisance.shift - a * landmarks.mean()


def on_image(head: Head, worn: list[np.ndarray], nuisance: Nuisance) -> np.ndarray:
    """Where the points of head and context lie, pixels as x + 1j * y, [n]."""
    points = np.concatenate([head.posed(nuisance.expression), *worn])
    x, y = rotation(nuisance) @ points.T
    plane = x + 1j * y
    a, b = _align(five_points(head, plane), nuisance)
    return a * plane + b


def project(head: Head, worn: dict[str, np.ndarray], nuisance: Nuisance) -> dict[str, np.ndarray]:
    """All shapes on the canvas, int32 fixed point [n, 2]."""
    plane = on_image(head, list(worn.values()), nuisance)
    rows_fixed = fixed(plane.view(np.float64).reshape(-1, 2))
    shapes = {name: rows_fixed[rows] for name, rows in head.parts.items()}
    start = len(head.points)
    for name, shape in worn.items():
        shapes[name] = rows_fixed[start : start + len(shape)]
        start += len(shape)
    return shapes


def worn_shapes(context: Context, g: dict[str, float]) -> dict[str, np.ndarray]:
    """Shapes of the context that turn with the head, [n, 3] each; ``g`` is its geometry."""
    style = context["hair_style"]
    shapes = {
        "hair_front": wardrobe.hair_front(style, context["fringe"]),
        "hair_sheen": wardrobe.hair_sheen(style),
    }
    if (back := wardrobe.hair_back(style)) is not None:
        shapes["hair_back"] = back
    if context["head_band"] != "none":
        shapes["band"] = wardrobe.head_band(4.0)
        shapes["band_edge"] = wardrobe.head_band(1.3)
    stretch = (g["cheek_width"] / wardrobe.MEAN_CHEEK, 1.0, 1.0)
    shapes = {name: points * stretch for name, points in shapes.items()}
    if context["glasses"] != "none":
        shapes |= _glasses(context["glasses"].split("_")[0], g)
    return shapes | makeup_shapes(context.get("makeup", "none"), g)


def _glasses(shape: str, g: dict[str, float]) -> dict[str, np.ndarray]:
    outer, inner = wardrobe.frame_rim(shape)
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

# SPDX-License-Identifier: MIT
"""What one photograph adds: pose, expression, light, camera; new for every image.

A head is turned, projected and aligned as InsightFace's crops are (least squares over eyes, nose
and mouth corners), with the face detector's error on top. Light is a small grid of a lit
ellipsoid, enlarged to the image; the camera exposes for the face, so that every skin tone is lit
well, and then errs by a random gain and white balance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from drawn_faces.anatomy import TEMPLATE, Head

SIZE = 112
SCALE = 2  # the canvas is so many times larger than the image
BITS = 4  # fractional bits of OpenCV's fixed-point coordinates
_LANDMARKS = ("left_white", "right_white", "nose_tip", "mouth_corners")
MAX_YAW, MAX_PITCH = np.deg2rad(30.0), np.deg2rad(18.0)
EXPOSURE = 0.4  # share of a skin tone's distance from the reference that the camera corrects
REFERENCE_LUMA = 190.0
_GRID = 10
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Nuisance:
    """One photograph's circumstances."""

    yaw: float  # radians
    pitch: float  # radians
    expression: np.ndarray  # [4]: smile, open mouth, raised brows, wide eyes
    similarity: complex  # scale and roll that the face detector got wrong
    shift: complex  # pixels, right + 1j * down
    light: np.ndarray  # [3] unit vector towards the lamp
    contrast: float  # share of the light that is directed
    gain: np.ndarray  # [3] by channel
    blur: float  # pixels, standard deviation
    noise: float  # grey levels, standard deviation
    grain: tuple[int, int]  # where the sensor's noise is cut from


def draw_nuisance(rng: np.random.Generator, pose: float) -> Nuisance:
    """Circumstances of one photograph; ``pose`` 0..1 scales yaw and pitch."""
    u = rng.uniform(-1, 1, 16)
    z = rng.standard_normal(8)
    lamp = np.array([0.8 * u[2], -0.35 + 0.45 * u[3], 0.9])
    return Nuisance(
        yaw=float(pose * MAX_YAW * u[0]),
        pitch=float(pose * MAX_PITCH * u[1]),
        expression=np.array([0.8 * z[0], max(0.0, 0.9 * z[1]), 0.7 * z[2], 0.6 * u[4]]),
        similarity=(1 + 0.02 * z[3]) * np.exp(0.03j * z[4]),
        shift=complex(0.7 * z[5], 0.7 * z[6]),
        light=lamp / np.linalg.norm(lamp),
        contrast=float(0.32 + 0.18 * u[5]),
        gain=np.exp(0.10 * u[6] + 0.045 * u[7:10]),
        blur=float(0.30 + 0.55 * abs(u[10])),
        noise=float(1.5 + 3.0 * abs(u[11])),
        grain=(int(rng.integers(_BANK - SIZE)), int(rng.integers(_BANK - SIZE))),
    )


def rotation(nuisance: Nuisance) -> np.ndarray:
    """Rows give x and y of a turned head, [2, 3]; z points to the camera."""
    cy, sy = np.cos(nuisance.yaw), np.sin(nuisance.yaw)
    cp, sp = np.cos(nuisance.pitch), np.sin(nuisance.pitch)
    return np.array([[cy, 0.0, sy], [sp * sy, cp, -sp * cy]])


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


def _normals() -> np.ndarray:
    """Normals of a head-sized ellipsoid at the grid's cells, [cells, 3]; beside it, (0, 0, 1)."""
    at = (np.arange(_GRID) + 0.5) * SIZE / _GRID
    x, y = np.meshgrid((at - 56) / 62, (at - 60) / 72)
    radius = np.sqrt(x**2 + y**2)
    pull = np.where(radius > 0.9, 0.9 / radius, 1.0)
    x, y = x * pull, y * pull
    return np.stack([x, y, np.sqrt(1 - x**2 - y**2)], axis=-1).reshape(-1, 3)


_NORMALS = _normals()
_BANK = 256
_GRAIN = (
    np.random.Generator(np.random.Philox(key=[112, 112]))
    .standard_normal((_BANK, _BANK, 3))
    .astype(np.float32)
)


def photograph(scene: np.ndarray, nuisance: Nuisance, skin: np.ndarray) -> np.ndarray:
    """Lights, blurs and grains a drawn scene, uint8 [112, 112, 3] -> the same."""
    exposure = (REFERENCE_LUMA / float(_LUMA @ skin)) ** EXPOSURE
    lit = np.maximum(_NORMALS @ nuisance.light, 0.0)
    shade = (1 - nuisance.contrast) + nuisance.contrast * 1.25 * lit
    cells = (shade[:, None] * (exposure * nuisance.gain)).astype(np.float32)
    lamp = cv2.resize(cells.reshape(_GRID, _GRID, 3), (SIZE, SIZE))
    image = cv2.multiply(scene, lamp, dtype=cv2.CV_8U)
    if nuisance.blur > 0.35:
        image = cv2.GaussianBlur(image, (5, 5), nuisance.blur)
    y, x = nuisance.grain
    grain = _GRAIN[y : y + SIZE, x : x + SIZE]
    return cv2.addWeighted(image, 1.0, grain, nuisance.noise, 0.0, dtype=cv2.CV_8U)

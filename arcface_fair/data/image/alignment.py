# SPDX-License-Identifier: MIT
"""Aligned crops from five landmarks, on the template that ArcFace networks are trained with.

The landmarks are (x, y) in pixels: the eye at the left of the picture, the eye at its right, the
nose's tip, the mouth's corner at the left, the one at the right. The crop is 112 x 112 pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from arcface_fair.data.image.images import FACE_SIZE
from arcface_fair.errors import UserError

# Where the five points lie in a crop of 112 x 112: Deng et al. 2019 (ArcFace); InsightFace's
# face_align uses the same numbers.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
TEMPLATE.setflags(write=False)


def similarity_transform(points: np.ndarray, target: np.ndarray = TEMPLATE) -> np.ndarray:
    """The rotation, scale and shift that take ``points`` nearest to ``target``; float64 [2, 3].

    points, target: [n, 2], n at least 2.  Minimises sum |a p + b - t|^2 over complex a, b, with
    points as complex numbers: a = sum conj(p - mean p) (t - mean t) / sum |p - mean p|^2, which
    is Umeyama's solution (1991, eq. 40-42) in the plane without reflection.
    Raises UserError if the points are not finite or all in one place.
    """
    p, t = (np.asarray(c, np.float64) @ np.array([1, 1j]) for c in (points, target))
    p_mean, t_mean = p.mean(), t.mean()
    spread = float((np.abs(p - p_mean) ** 2).sum())
    if not np.isfinite(spread) or spread < 1e-6:
        raise UserError(
            f"the landmarks {np.asarray(points).tolist()} are not five different points; "
            "correct their line or leave the image out"
        )
    a = (np.conj(p - p_mean) * (t - t_mean)).sum() / spread
    b = t_mean - a * p_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def residual(points: np.ndarray, transform: np.ndarray) -> float:
    """Mean distance in pixels of the crop between the moved points and the template.

    About 1 to 4 for frontal faces; more than 10 for points in another order.
    """
    moved = np.asarray(points, np.float64) @ transform[:, :2].T + transform[:, 2]
    return float(np.linalg.norm(moved - TEMPLATE, axis=1).mean())


def align(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """uint8 [112, 112, 3]: the face of ``image`` [H, W, 3] with landmarks ``points`` [5, 2].

    Bilinear, black outside the image, as InsightFace does. Raises UserError for points that
    are no five different ones.
    """
    transform = similarity_transform(points)
    return cv2.warpAffine(image, transform, (FACE_SIZE, FACE_SIZE), borderValue=0.0)

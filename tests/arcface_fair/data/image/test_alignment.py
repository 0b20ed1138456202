# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE, align, residual, similarity_transform
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def moved(points, scale, angle_rad, shift):
    turn = scale * np.array(
        [[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]]
    )
    return points @ turn.T + shift


@pytest.mark.parametrize("angle_rad", [0.0, 0.3, -2.5])
def test_a_turned_scaled_and_shifted_template_comes_back(angle_rad):
    points = moved(TEMPLATE, 2.5, angle_rad, [100, -40])
    transform = similarity_transform(points)
    np.testing.assert_allclose(points @ transform[:, :2].T + transform[:, 2], TEMPLATE, atol=1e-9)
    assert residual(points, transform) < 1e-9


def test_no_other_similarity_comes_nearer():
    rng = np.random.default_rng(0)
    points = TEMPLATE * 3 + rng.normal(0, 10, (5, 2))
    best = similarity_transform(points)

    def cost(t):
        return ((points @ t[:, :2].T + t[:, 2] - TEMPLATE) ** 2).sum()

    for _ in range(200):
        a, b, x, y = rng.normal(0, 0.01, 4)
        other = best + np.array([[a, -b, x], [b, a, y]])
        assert cost(other) > cost(best)


@pytest.mark.filterwarnings("ignore:.estimate. is deprecated:FutureWarning")
def test_it_is_the_transform_and_the_crop_of_the_insightface_package():
    face_align = pytest.importorskip(
        "insightface.utils.face_align", reason="the insightface package is not installed"
    )
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (250, 250, 3), np.uint8)
    for _ in range(5):
        points = moved(TEMPLATE, 1.7, rng.normal(), [30, 40]) + rng.normal(0, 4, (5, 2))
        points = points.astype(np.float32)
        theirs = face_align.estimate_norm(points)
        np.testing.assert_allclose(similarity_transform(points), theirs, atol=1e-4)
        # Coefficients differ in the last digits, and OpenCV rounds positions to 1/32 pixel.
        apart = align(image, points).astype(int) - face_align.norm_crop(image, points)
        assert np.abs(apart).mean() < 0.05


def test_an_aligned_face_stays_as_it_is_and_outside_is_black():
    assert np.array_equal(align(face(0), TEMPLATE), face(0))
    shifted = align(face(0), TEMPLATE + np.array([20, 0]))
    assert np.array_equal(shifted[:, :92], face(0)[:, 20:])
    assert (shifted[:, 92:] == 0).all()


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [3, 4, 2, 0, 1], [0, 1, 3, 2, 4]])
def test_points_of_another_order_leave_a_large_residual(order):
    wrong = TEMPLATE[order]
    assert residual(wrong, similarity_transform(wrong)) > 10


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(UserError, match=r"the landmarks \[\[.+ are not five different points; cor"):
        similarity_transform(points)

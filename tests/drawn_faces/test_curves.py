# SPDX-License-Identifier: MIT
"""Curves pass where they say they pass."""

from __future__ import annotations

import numpy as np

from drawn_faces.curves import box, closed, ellipse, mirrored, ribbon

KNOTS = np.array([(0, 0), (4, 1), (5, 5), (1, 4)], float)


def test_a_closed_curve_passes_through_its_knots():
    assert np.allclose(closed(KNOTS, 5)[::5], KNOTS)


def test_a_closed_curve_moves_with_its_knots():
    shift = np.array([3.0, -2.0])
    assert np.allclose(closed(KNOTS + shift), closed(KNOTS) + shift)


def test_a_mirrored_outline_is_symmetric():
    outline = mirrored(np.array([(0, 0), (3, 1), (2, 4), (0, 5)], float))
    assert outline.tolist() == [[0, 0], [3, 1], [2, 4], [0, 5], [-2, 4], [-3, 1]]


def test_an_ellipse_has_its_half_axes():
    points = ellipse(2, 3, 4, 1, 8)
    assert np.allclose(points.max(0), (6, 4))
    assert np.allclose(points.min(0), (-2, 2))


def test_a_ribbon_runs_out_above_and_back_below():
    assert ribbon(np.array([(0.0, 0.0), (1.0, 0.0)]), 2.0).tolist() == [
        [0, -2], [1, -2], [1, 2], [0, 2],
    ]  # fmt: skip


def test_a_box_has_four_corners():
    assert box(0, 1, 2, 3).tolist() == [[0, 1], [2, 1], [2, 3], [0, 3]]

# SPDX-License-Identifier: MIT
"""Photographs: pose obeys its setting, every skin tone is well lit, grain is repeatable."""

from __future__ import annotations

import numpy as np

from drawn_faces.camera import (
    MAX_PITCH,
    MAX_YAW,
    draw_nuisance,
    photograph,
    rotation,
)
from drawn_faces.traits import SKIN


def some(pose: float, count: int = 50) -> list:
    return [draw_nuisance(np.random.default_rng(seed), pose) for seed in range(count)]


def test_pose_scales_yaw_and_pitch_and_nothing_else():
    for frontal, turned in zip(some(0.0), some(0.7), strict=True):
        assert (frontal.yaw, frontal.pitch) == (0.0, 0.0)
        assert abs(turned.yaw) <= 0.7 * MAX_YAW
        assert abs(turned.pitch) <= 0.7 * MAX_PITCH
        assert frontal.similarity == turned.similarity
        assert np.array_equal(frontal.light, turned.light)


def test_a_frontal_head_is_seen_without_depth():
    assert np.allclose(rotation(some(0.0)[0]), [[1, 0, 0], [0, 1, 0]])


def test_a_turned_head_keeps_lengths():
    rows = rotation(some(1.0)[3])
    assert np.allclose(rows @ rows.T, np.eye(2))


def test_the_camera_narrows_the_gap_between_skin_tones():
    def brightness(tone: np.ndarray) -> float:
        scene = np.broadcast_to(tone.astype(np.uint8), (112, 112, 3)).copy()
        return float(np.mean([photograph(scene, n, tone).mean() for n in some(0.7)]))

    seen = [brightness(tone) for tone in SKIN]
    assert min(seen) > 110
    assert max(seen) / min(seen) < 0.8 * (SKIN.mean(1).max() / SKIN.mean(1).min())


def test_the_same_circumstances_give_the_same_bytes():
    scene = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
    nuisance = some(0.7)[0]
    first, second = (photograph(scene, nuisance, SKIN[0]) for _ in range(2))
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first, photograph(scene, some(0.7)[1], SKIN[0]))

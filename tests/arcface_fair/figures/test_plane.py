# SPDX-License-Identifier: MIT
import cv2
import numpy as np
import pytest

from arcface_fair.figures import open_run, plane


def test_without_umap_the_plane_is_the_one_of_largest_variance(monkeypatch):
    monkeypatch.setattr(plane, "_umap", lambda: None)
    generator = np.random.default_rng(0)
    flat = generator.standard_normal((50, 2)) * [3, 1]
    turned = flat @ np.linalg.qr(generator.standard_normal((8, 8)))[0][:2]
    places, method = plane.to_plane(turned)
    assert method == "PCA"
    distances = np.linalg.norm(flat[:, None] - flat, axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(places[:, None] - places, axis=2), distances, atol=1e-4
    )
    assert places[:, 0].var() > places[:, 1].var()


def test_a_handful_of_images_is_laid_out_without_umap():
    places, method = plane.to_plane(np.eye(3, 8))
    assert (places.shape, method) == ((3, 2), "PCA")
    assert plane.to_plane(np.ones((1, 8)))[0].tolist() == [[0, 0]]


@pytest.mark.slow
def test_umap_keeps_neighbours_together_and_follows_its_seed():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    generator = np.random.default_rng(0)
    centres = np.repeat(np.eye(16)[:2], 30, 0)
    features = centres + 0.05 * generator.standard_normal((60, 16))
    places, method = plane.to_plane(features)
    assert method == "UMAP"
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(60)
    assert (distances.argmin(1) // 30 == np.arange(60) // 30).all()
    np.testing.assert_array_equal(places, plane.to_plane(features)[0])


def test_points_are_drawn_by_group_and_by_every_stage(partitioned_run, tmp_path):
    run = open_run(partitioned_run)
    identities = run.dataset.identities
    places = np.random.default_rng(0).standard_normal((len(identities), 2))
    path = plane.draw_plane(run, places, identities, "PCA", tmp_path / "plane.png")
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 1000  # three panels take two rows

# SPDX-License-Identifier: MIT
"""Sample faces of subsets, and the plane of features."""

import cv2
import numpy as np
import pytest

from arcface_fair.data.groups import Attribute
from arcface_fair.figures import Stage, open_run, pictures
from arcface_fair.figures.pictures import draw_faces, sample_people


def test_people_are_drawn_at_random_from_those_with_images():
    codes = np.repeat([0, 1], 50)
    stage = Stage(1, Attribute(("a", "b"), codes), np.ones(100, np.float32))
    images = np.where(np.arange(100) % 2 == 0, 3, 0)
    first = sample_people(stage, images, 5, seed=0)
    assert [len(members) for members in first] == [5, 5]
    for code, members in enumerate(first):
        assert (codes[members] == code).all()
        assert (images[members] > 0).all()
    other = sample_people(stage, images, 5, seed=1)
    assert first[0].tolist() != other[0].tolist()


def test_a_picture_shows_every_subset_even_with_fewer_people_than_columns(
    partitioned_run, tmp_path
):
    run = open_run(partitioned_run)
    path = draw_faces(run, run.stages[0], tmp_path / "faces.png", people=6, shots=2)
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 250
    assert 0.2 < (picture == 255).all(2).mean() < 0.9  # faces, and white where people are missing


def test_without_umap_the_plane_is_the_one_of_largest_variance(monkeypatch):
    monkeypatch.setattr(pictures, "_umap", lambda: None)
    generator = np.random.default_rng(0)
    flat = generator.standard_normal((50, 2)) * [3, 1]
    turned = flat @ np.linalg.qr(generator.standard_normal((8, 8)))[0][:2]
    places, method = pictures.to_plane(turned)
    assert method == "PCA"
    distances = np.linalg.norm(flat[:, None] - flat, axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(places[:, None] - places, axis=2), distances, atol=1e-4
    )
    assert places[:, 0].var() > places[:, 1].var()


def test_a_handful_of_images_is_laid_out_without_umap():
    places, method = pictures.to_plane(np.eye(3, 8))
    assert (places.shape, method) == ((3, 2), "PCA")
    assert pictures.to_plane(np.ones((1, 8)))[0].tolist() == [[0, 0]]


@pytest.mark.slow
def test_umap_keeps_neighbours_together_and_follows_its_seed():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    generator = np.random.default_rng(0)
    centres = np.repeat(np.eye(16)[:2], 30, 0)
    features = centres + 0.05 * generator.standard_normal((60, 16))
    places, method = pictures.to_plane(features)
    assert method == "UMAP"
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(60)
    assert (distances.argmin(1) // 30 == np.arange(60) // 30).all()
    np.testing.assert_array_equal(places, pictures.to_plane(features)[0])


def test_points_are_drawn_by_group_and_by_every_stage(partitioned_run, tmp_path):
    run = open_run(partitioned_run)
    identities = run.dataset.identities
    places = np.random.default_rng(0).standard_normal((len(identities), 2))
    path = pictures.draw_plane(run, places, identities, "PCA", tmp_path / "plane.png")
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 1000  # three panels take two rows

# SPDX-License-Identifier: MIT
"""The pixel baseline averages cells and does not see a mirror."""

import numpy as np

from arcface_fair.evaluation.pixels import raw_pixels


def test_embedding_is_the_mean_of_each_cell_and_of_its_mirror():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, :4, :4] = 255
    expected = np.full((2, 2, 3), -2.0)
    expected[0] = 0.0  # bright left, dark right, and mirrored
    np.testing.assert_allclose(raw_pixels(images)[0].reshape(2, 2, 3), expected, atol=1e-6)


def test_mirrored_images_have_the_same_embedding():
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    embeddings = raw_pixels(images)
    assert embeddings.shape == (2, 28 * 28 * 3)
    np.testing.assert_allclose(embeddings, raw_pixels(images[:, :, ::-1]), rtol=0, atol=1e-6)

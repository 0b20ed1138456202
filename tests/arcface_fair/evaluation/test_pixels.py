# SPDX-License-Identifier: MIT
"""The pixel baseline averages cells and does not see a mirror."""

from pathlib import Path

import numpy as np
import pytest

from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.evaluation import raw_pixels, ten_fold

ORL = Path(__file__).parents[3] / "../shared/data/orl/orl.bin"


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


@pytest.mark.skipif(not ORL.is_file(), reason=f"needs the verification set {ORL}")
def test_pixels_tell_people_apart_in_842_of_1000_pairs_of_real_photographs():
    images, same = load_bin(ORL)
    embeddings = raw_pixels(decode_bin(images))
    result = ten_fold(embeddings[0::2], embeddings[1::2], same)
    assert result.accuracy == pytest.approx(0.842, abs=0.0005)

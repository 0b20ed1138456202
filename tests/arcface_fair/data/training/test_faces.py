# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.training.faces import FaceDataset


class Three(FaceDataset):
    identities = np.array([0, 4, 1])

    def read(self, position):
        raise NotImplementedError

    def describe(self, position):
        return f"face {position}"


def test_counts_follow_from_the_identities():
    assert (Three().num_images, Three().num_classes) == (3, 5)


def test_a_source_without_images_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        FaceDataset()

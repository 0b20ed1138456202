# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from contrast_plugin.estimate import Contrast
from contrast_plugin.maps import SubsetMaps
from contrast_plugin.picture import draw_contrast


def contrast(**changes):
    map_ = torch.full((112, 112), -1.0)
    map_[:56] = 1.0
    found = Contrast(
        map=map_, subset=torch.zeros(3, dtype=torch.uint8), names=("a", "b"), gap=(0.1, 0.3),
        difference=0.2, doubt=0.02, easy=1, acts=True, why="", digest="",
    )  # fmt: skip
    return replace(found, **changes)


MAPS = SubsetMaps(torch.ones(2, 112, 112), torch.zeros(2, 3, 112, 112), torch.tensor([8, 8]))


def drawn(found=None):
    picture = draw_contrast(found or contrast(), MAPS).astype(int)
    columns = np.split(picture, 3, axis=1)  # two subsets, then D
    return picture, columns[2]


def test_a_column_for_every_subset_and_one_for_the_contrast():
    picture, _ = drawn()
    assert picture.shape[1] == 3 * (2 * 112 + 12)


def test_red_is_where_the_easy_subset_looks_more_and_blue_where_the_others_do():
    _, column = drawn()
    upper, lower = column[40 + 56, 100], column[40 + 168, 100]  # BGR, above and below the middle
    assert upper[2] > upper[0] + 100
    assert lower[0] > lower[2] + 100


def test_what_is_erased_is_hatched_and_nothing_where_nothing_acts():
    erased = drawn()[1][-224:]
    assert len(np.unique(erased[40:80, 40:80].reshape(-1, 3), axis=0)) > 1
    assert len(np.unique(erased[150:190, 40:80].reshape(-1, 3), axis=0)) == 1
    closed = drawn(contrast(acts=False))[1][-224:]
    assert len(np.unique(closed[40:80, 40:80].reshape(-1, 3), axis=0)) == 1

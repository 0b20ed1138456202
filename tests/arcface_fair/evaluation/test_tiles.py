# SPDX-License-Identifier: MIT
"""Tiles cover every pair once, and a tile's product finds what reaches the bound."""

import numpy as np
import pytest

from arcface_fair.evaluation.tiles import NumpyProduct, upper_tiles


@pytest.mark.parametrize("size", [1, 3, 100])
def test_every_unordered_pair_lies_in_exactly_one_tile(size):
    seen = np.zeros((12, 12), int)
    starts, ends = np.array([0, 5, 6]), np.array([5, 6, 12])
    section = np.repeat([0, 1, 2], [5, 1, 6])
    for row, column, (rows, columns) in upper_tiles(starts, ends, size):
        assert (section[rows] == row).all()
        assert (section[columns] == column).all()
        block = np.zeros_like(seen)
        block[rows, columns] = 1
        # A tile on the diagonal holds its pairs twice; the reader keeps the upper half.
        seen += np.triu(block, 1) if rows == columns else block
    assert (seen == np.triu(np.ones((12, 12), int), 1)).all()


def test_what_reaches_the_bound_is_found_with_its_place():
    unit = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    rows, columns, scores = NumpyProduct(unit).above((slice(0, 2), slice(1, 3)), 0.6)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 2), (1, 1), (1, 2)]
    np.testing.assert_allclose(scores, [0.6, 1.0, 0.8])

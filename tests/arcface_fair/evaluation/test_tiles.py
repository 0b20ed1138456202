# SPDX-License-Identifier: MIT
"""Unit rows, and tiles that cover every pair once, on any device."""

import numpy as np
import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.evaluation.tiles import (
    NumpyProduct,
    TorchProduct,
    check_images,
    unit_rows,
    upper_tiles,
    zero_rows_in_words,
)


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


def test_torch_and_numpy_find_the_same_pairs():
    unit, _ = unit_rows(np.random.default_rng(0).normal(size=(50, 8)))
    tile = slice(0, 20), slice(20, 50)
    before = torch.get_float32_matmul_precision()
    found = TorchProduct(unit, "cpu").above(tile, 0.3)
    expected = NumpyProduct(unit).above(tile, 0.3)
    assert torch.get_float32_matmul_precision() == before
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        assert mine.tolist() == theirs.tolist()
    np.testing.assert_allclose(found[2], expected[2], atol=1e-6)


WORDS = np.array(["a", "b", ""], object)


def test_rows_have_norm_one_and_zero_rows_stay():
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 1e-20]])
    unit, norms = unit_rows(rows)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [0, 1]])
    np.testing.assert_allclose(norms, [5, 1, 1e-20])
    assert zero_rows_in_words(rows) == (
        "1 of 3 embeddings are zero; their similarity to everybody is 0",
    )
    assert zero_rows_in_words(rows[:1]) == ()


def test_nan_and_infinity_are_counted_with_the_first_image():
    rows = np.ones((3, 2))
    rows[1, 0], rows[2, 1] = np.nan, np.inf
    with pytest.raises(UserError, match="2 of 3 embeddings hold NaN or infinity, the first of ima"):
        check_images(rows, np.arange(3), WORDS, (0.1,))


@pytest.mark.parametrize(
    ("rows", "who", "fprs", "message"),
    [
        (np.ones((2, 2)), np.arange(3), (0.1,), "do not fit together"),
        (np.ones(3), np.arange(3), (0.1,), "do not fit together"),
        (np.ones((3, 2)), np.arange(3), (), "false positive rates are"),
        (np.ones((3, 2)), np.arange(3), (1.0,), "each must lie between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(rows, who, fprs, message):
    with pytest.raises(UserError, match=message):
        check_images(rows, who, WORDS, fprs)

# SPDX-License-Identifier: MIT
"""Rows become unit rows; what is of no use is counted and named."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.unit_rows import check_images, unit_rows, zero_rows_in_words

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

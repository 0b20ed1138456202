# SPDX-License-Identifier: MIT
"""Agreement is 1 for equal models, blind to a rotation of the space, and seen per pair."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.feature_agreement import MOST_PAIRS, _pairs, agreement

FIRST = np.random.default_rng(0).normal(size=(20, 8))


def test_equal_and_scaled_features_agree_fully():
    found = agreement(FIRST, 3 * FIRST)
    assert found.faces == 20
    assert found.cosine_mean == pytest.approx(1)
    assert found.cosine_min == pytest.approx(1)
    assert found.change_max == pytest.approx(0, abs=1e-12)
    assert found.correlation == pytest.approx(1)


def test_a_rotated_space_differs_by_face_and_agrees_by_pair():
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    found = agreement(FIRST, FIRST @ turn)
    assert abs(found.cosine_mean) < 0.9
    assert found.change_max == pytest.approx(0, abs=1e-12)


def test_pairs_are_compared_by_hand_numbers():
    """Cosines 0, 0.6, 0.8 become 0.6, 0.6, 1: changes 0.6, 0, 0.2."""
    first = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    second = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8]])
    found = agreement(first, second)
    assert found.change_mean == pytest.approx(0.8 / 3)
    assert found.change_max == pytest.approx(0.6)
    assert found.shift == pytest.approx(0.8 / 3)
    assert found.cosine_min == pytest.approx(0.8)


def test_other_embedding_sizes_are_compared_by_pairs_only():
    found = agreement(FIRST, FIRST[:, :5])
    assert found.cosine_mean is None
    assert found.cosine_min is None
    assert found.correlation is not None


def test_one_face_has_no_pairs():
    found = agreement(FIRST[:1], FIRST[:1])
    assert (found.faces, found.change_mean, found.correlation, found.shift) == (1, None, None, None)


def test_many_faces_are_compared_on_the_same_random_pairs():
    left, right = _pairs(3000)
    assert len(left) == MOST_PAIRS
    assert (left != right).all()
    assert np.array_equal(_pairs(3000)[1], right)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (FIRST[:5], "gave 20 and 5 embeddings; give both the same faces"),
        (FIRST * 0, "embeddings that are not finite or zero; export another checkpoint"),
        (FIRST * np.nan, "embeddings that are not finite or zero"),
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused(second, message):
    with pytest.raises(UserError, match=message):
        agreement(FIRST, second)


def test_no_faces_are_refused():
    with pytest.raises(UserError, match="gave 0 and 0 embeddings"):
        agreement(FIRST[:0], FIRST[:0])

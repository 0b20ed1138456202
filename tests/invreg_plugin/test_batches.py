# SPDX-License-Identifier: MIT
"""Class-balanced batches for any number of images and identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_fair.errors import UserError
from invreg_plugin.batches import ClassBalancedBatches


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 11), min_size=1, max_size=60),
    per_batch=st.integers(2, 7),
    per_identity=st.integers(2, 5),
    seed=st.integers(0, 5),
)
def test_a_pass_shows_every_identity_once_with_distinct_images(
    labels, per_batch, per_identity, seed
):
    identities = np.array(labels)
    batches = ClassBalancedBatches(identities, 12, per_batch, per_identity, seed)
    seen: list[int] = []
    for batch in batches.one_pass(3):
        assert len(batch.identities) <= per_batch
        assert len(set(batch.positions)) == len(batch.positions)
        np.testing.assert_array_equal(identities[batch.positions], batch.identities[batch.slots])
        expected = [min(per_identity, labels.count(c)) for c in batch.identities]
        assert np.bincount(batch.slots).tolist() == expected
        seen += batch.identities.tolist()
    assert sorted(seen) == sorted(set(labels))


def test_every_image_of_an_identity_is_drawn_sooner_or_later():
    batches = ClassBalancedBatches(np.array([0] * 12 + [1] * 9), 2, 2, 4, seed=0)
    drawn = {int(p) for index in range(40) for b in batches.one_pass(index) for p in b.positions}
    assert drawn == set(range(21))


def test_the_seed_and_the_pass_decide_the_batches():
    identities = np.arange(40) % 10

    def positions(seed: int, index: int) -> list[int]:
        batches = ClassBalancedBatches(identities, 10, 4, 2, seed)
        return [int(p) for batch in batches.one_pass(index) for p in batch.positions]

    assert positions(0, 0) == positions(0, 0)
    assert positions(0, 0) != positions(1, 0)
    assert positions(0, 0) != positions(0, 1)


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(UserError, match=r"identities run from 0 to 9, expected 0\.\.4"):
        ClassBalancedBatches(np.array([0, 9]), 5, 2, 2, 0)


def test_labels_that_are_not_whole_numbers_per_image_are_refused():
    with pytest.raises(UserError, match="expected one whole number per image"):
        ClassBalancedBatches(np.array([0.0, 1.0]), 5, 2, 2, 0)
    with pytest.raises(UserError, match=r"identities have shape \(2, 1\)"):
        ClassBalancedBatches(np.array([[0], [1]]), 5, 2, 2, 0)

# SPDX-License-Identifier: MIT
from __future__ import annotations

from itertools import chain

import pytest

from arcface_fair.data.training.loader import EpochBatches
from arcface_fair.errors import UserError


def test_the_ranks_parts_in_order_are_the_batch_of_one_process():
    one = list(EpochBatches(103, 12, seed=5))
    for world_size in (2, 3, 4):
        parts = [
            EpochBatches(103, 12 // world_size, 5, rank, world_size) for rank in range(world_size)
        ]
        assert [list(chain(*batches)) for batches in zip(*parts, strict=True)] == one


def test_an_epoch_shows_no_image_twice_and_drops_less_than_a_batch():
    batches = EpochBatches(103, 5, 0, 0, 2)
    assert len(batches) == len(list(batches)) == 10
    positions = [
        position
        for rank in range(2)
        for batch in EpochBatches(103, 5, 0, rank, 2)
        for _, position in batch
    ]
    assert len(positions) == len(set(positions)) == 100
    assert set(positions) <= set(range(103))


def test_every_epoch_and_seed_has_its_own_order():
    batches = EpochBatches(100, 10, seed=0)
    orders = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        first = list(batches)
        assert first == list(batches)
        assert {number for batch in first for number, _ in batch} == {epoch}
        orders.append([position for batch in first for _, position in batch])
    orders.append([position for batch in EpochBatches(100, 10, seed=1) for _, position in batch])
    assert all(a != b for n, a in enumerate(orders) for b in orders[:n])


def test_an_epoch_entered_in_the_middle_goes_on_as_if_whole():
    batches = EpochBatches(100, 7, 3, 1, 2)
    batches.set_epoch(4)
    whole = list(batches)
    for step in (0, 3, len(batches)):
        batches.set_epoch(4, first_step=step)
        assert list(batches) == whole[step:]
        assert len(batches) == 7


@pytest.mark.parametrize(("images", "size"), [(7, 4), (0, 1), (10, 0)])
def test_too_few_images_for_a_batch_are_refused(images, size):
    with pytest.raises(UserError, match=rf"{images} images do not fill a batch of {size} on each"):
        EpochBatches(images, size, 0, 0, 2)
    EpochBatches(8, 4, 0, 0, 2)

# SPDX-License-Identifier: MIT
from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import torch

from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.training.clean_images import ListedBatches, clean_images
from arcface_fair.data.training.dataset import open_dataset
from arcface_fair.errors import UserError
from tests.small_data import write_small_record

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_small_record(tmp_path_factory.mktemp("record")))


def clean(dataset, batches, skip_bad_images=False, num_workers=0):
    return clean_images(
        dataset,
        batches,
        num_workers=num_workers,
        skip_bad_images=skip_bad_images,
        device=CPU,
        title="images",
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_are_those_of_the_positions_in_order_and_as_they_are(dataset, num_workers):
    batches = [np.array([40, 3, 3]), np.array([7])]
    found = list(clean(dataset, batches, num_workers=num_workers))
    assert [len(images) for images, _ in found] == [3, 1]
    for positions, (images, labels) in zip(batches, found, strict=True):
        assert labels.tolist() == [dataset.identities[p] for p in positions]
        for position, image in zip(positions, images, strict=True):
            expected = dataset.read(int(position)).transpose(2, 0, 1)
            np.testing.assert_array_equal(image.numpy(), expected)


def test_stopping_in_the_middle_closes_the_loader(dataset):
    with closing(clean(dataset, [np.array([0]), np.array([1])])) as images:
        next(images)
    assert list(images) == []


def broken(dataset, monkeypatch, position):
    real = dataset.read

    def read(wanted):
        if wanted == position:
            raise BadImageError("image 3 is torn")
        return real(wanted)

    monkeypatch.setattr(dataset, "read", read)


def test_a_bad_image_is_an_error_or_replaced_with_its_stand_ins_label(dataset, monkeypatch):
    broken(dataset, monkeypatch, 3)
    with pytest.raises(UserError, match="image 3 is torn"):
        list(clean(dataset, [np.array([3, 20])]))
    ((images, labels),) = clean(dataset, [np.array([3, 20])], skip_bad_images=True)
    assert torch.equal(images[0], images[1])
    assert labels.tolist() == [dataset.identities[20]] * 2


def test_a_plan_knows_its_length():
    assert len(ListedBatches([np.array([1, 2]), np.array([3])])) == 2
    assert list(ListedBatches([np.array([1, 2])])) == [[(0, 1), (0, 2)]]

# SPDX-License-Identifier: MIT
from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.training.dataset import TrainingImages, open_dataset
from arcface_fair.data.training.loader import EpochBatches, make_loader
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


class Drawn:
    """Faces of 12 people; ``act`` is called with the position before a face is given."""

    identities = np.arange(24) % 12
    num_images, num_classes = 24, 12

    def __init__(self, act=lambda position: None):
        self.act = act

    def read(self, position):
        self.act(position)
        return face(position)


def loader_of(act, workers, batch_size=6, skip=False):
    images = TrainingImages(Drawn(act), seed=1, shift=2, skip_bad_images=skip)
    return make_loader(images, EpochBatches(24, batch_size, seed=2), workers)


def listed(loader):
    """Per batch: images as bytes, labels, positions, skipped."""
    return [
        (
            [image.numpy().tobytes() for image in batch.images],
            batch.labels.tolist(),
            batch.positions.tolist(),
            batch.skipped,
        )
        for batch in loader
    ]


def fails_at(*positions):
    def act(position):
        if position in positions:
            raise BadImageError(f"record {position} cannot be decoded")

    return act


def test_batches_do_not_depend_on_the_number_of_workers():
    lists = []
    for workers in (0, 2):
        loader = loader_of(lambda position: None, workers)
        for epoch in range(2):
            loader.batches.set_epoch(epoch, first_step=epoch)
            lists.append(listed(loader))
    assert lists[:2] == lists[2:]
    assert [len(batches) for batches in lists] == [4, 3, 4, 3]


def test_a_batch_has_the_images_labels_and_positions_of_its_list():
    loader = loader_of(lambda position: None, 0)
    assert len(loader) == 4
    for batch, indices in zip(loader, loader.batches, strict=True):
        assert batch.images.shape == (6, 3, 112, 112)
        assert batch.images.dtype == torch.uint8
        assert batch.labels.dtype == batch.positions.dtype == torch.int64
        assert batch.positions.tolist() == [position for _, position in indices]
        assert torch.equal(batch.labels, batch.positions % 12)
        assert batch.skipped == 0


@pytest.mark.parametrize("ending", ["error", "close"])
def test_workers_are_gone_as_soon_as_they_are_not_wanted(ending):
    loader = loader_of(fails_at(17) if ending == "error" else lambda position: None, 2)
    before = set(multiprocessing.active_children())
    start = time.monotonic()
    if ending == "error":
        with pytest.raises(UserError) as caught:  # held, and with it the frames of the loop
            listed(loader)
        assert str(caught.value) == "record 17 cannot be decoded"
    else:
        whole = listed(loader)
        assert len(set(multiprocessing.active_children()) - before) == 2
        loader.close()
    assert set(multiprocessing.active_children()) == before
    assert time.monotonic() - start < 4
    if ending == "close":
        assert listed(loader) == whole
        loader.close()


def test_leaving_in_the_middle_of_an_epoch_leaves_the_next_one_whole():
    loader = loader_of(lambda position: None, 1)
    whole = listed(loader)
    for _ in loader:
        break
    assert listed(loader) == whole


def test_iterating_draws_nothing_from_the_global_generators():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    listed(loader_of(lambda position: None, 1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_ends_with_its_own_sentence_and_nothing_else(workers):
    with pytest.raises(UserError) as caught:
        listed(loader_of(fails_at(17), workers))
    assert str(caught.value) == "record 17 cannot be decoded"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_real_record_with_a_bad_image_names_the_record(write_record, workers):
    folder = write_record([0, 0, 1, 1], bad=(2,))
    loader = make_loader(TrainingImages(open_dataset(folder)), EpochBatches(4, 2, 0), workers)
    with pytest.raises(UserError, match=r"^record 3 of .+train.rec cannot be decoded as an image"):
        listed(loader)


@pytest.mark.parametrize("workers", [0, 1])
def test_skipped_images_are_replaced_by_the_next_of_their_batch_and_counted(workers):
    whole = listed(loader_of(lambda position: None, 0))
    order = whole[0][2]
    got = listed(loader_of(fails_at(order[1], order[2], order[5]), workers, skip=True))
    assert got[1:] == whole[1:]
    images, labels, positions, skipped = got[0]
    rows = [0, 3, 3, 3, 4, 0]
    assert skipped == 3
    assert positions == [order[row] for row in rows]
    assert labels == [whole[0][1][row] for row in rows]
    assert images == [whole[0][0][row] for row in rows]


def test_a_batch_of_bad_images_alone_ends():
    sentence = "none of the 6 images of a batch can be used, the last because record .+ cannot be"
    with pytest.raises(UserError, match=sentence):
        listed(loader_of(fails_at(*range(24)), 0, skip=True))


def test_only_bad_images_are_skipped_other_errors_end():
    def act(position):
        raise UserError("the disk is gone")

    with pytest.raises(UserError, match=r"^the disk is gone$"):
        listed(loader_of(act, 1, skip=True))


def test_a_mistake_of_ours_in_a_worker_is_not_called_the_users():
    def act(position):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker") as caught:
        listed(loader_of(act, 1))
    assert not isinstance(caught.value, UserError)


def test_a_worker_that_the_system_kills_is_a_sentence_where_the_batch_is_awaited():
    parent = os.getpid()

    def act(position):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    start = time.monotonic()
    handler = signal.getsignal(signal.SIGCHLD)
    sentence = "one of the 1 data workers was ended by the system, not by an .+: lower num_workers"
    with pytest.raises(UserError, match=sentence):
        listed(loader_of(act, 1))
    assert time.monotonic() - start < 30
    assert signal.getsignal(signal.SIGCHLD) is handler


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(UserError, match="num_workers is -1; set it to 0 or more processes"):
        loader_of(lambda position: None, -1)

# SPDX-License-Identifier: MIT
from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from arcface_fair.data.training.dataset import (
    FaceDataset,
    ImageFolder,
    RecordDataset,
    TrainingImages,
    check_labels,
    open_dataset,
    to_input,
)
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


class Drawn(FaceDataset):
    def __init__(self, labels):
        self.identities = np.array(labels)

    def read(self, position):
        return face(position)

    def describe(self, position):
        return f"face {position}"


def chw(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def test_a_folder_is_opened_by_what_it_holds(write_record, tmp_path):
    assert isinstance(open_dataset(write_record([0, 1])), RecordDataset)
    (tmp_path / "images" / "someone").mkdir(parents=True)
    (tmp_path / "images" / "someone" / "1.png").write_bytes(b"")
    assert isinstance(open_dataset(str(tmp_path / "images")), ImageFolder)


def test_a_folder_that_is_absent_or_holds_no_faces_is_named(tmp_path):
    with pytest.raises(UserError, match="absent does not exist or is a file; set rec to the fold"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(UserError, match=r"holds neither train.rec nor sub-folders; set rec to the"):
        open_dataset(tmp_path)
    (tmp_path / "train.idx").write_text("0\t0\n")
    with pytest.raises(UserError, match=r"record file .+train.rec cannot be read"):
        open_dataset(tmp_path)


def test_labels_in_range_pass_and_others_are_named():
    check_labels(Drawn([0, 2, 1]), 3)
    check_labels(Drawn([0, 2, 1]), 10)
    sentence = r"face 1 has label 2, outside 0\.\.1 \(1 images are\); the labels run from 0 to 2, "
    with pytest.raises(UserError, match=sentence + "set num_classes to at least 3"):
        check_labels(Drawn([0, 2, 1]), 2)
    with pytest.raises(UserError, match=r"face 0 has label -1, .+ number the identities from 0"):
        check_labels(Drawn([-1, 0]), 2)


def test_unchanged_images_are_those_of_the_dataset():
    image, label, position = TrainingImages(Drawn([5, 6]), flip=False)[3, 1]
    assert (label, position, image.dtype) == (6, 1, torch.uint8)
    assert torch.equal(image, chw(face(1)))


def test_an_image_is_a_function_of_seed_epoch_and_position():
    faces = Drawn(range(8))
    first, again, other = (
        TrainingImages(faces, flip=True, shift=9, seed=seed) for seed in (1, 1, 2)
    )
    for position in (7, 0, 3):
        assert torch.equal(first[0, position][0], again[0, position][0])
    shown = {first[epoch, 3][0].numpy().tobytes() for epoch in range(5)}
    assert len(shown) == 5
    assert any(not torch.equal(first[0, p][0], other[0, p][0]) for p in range(8))


def test_pickled_for_a_spawned_worker_it_gives_the_same_image(write_record):
    images = TrainingImages(open_dataset(write_record([0, 0, 1])), shift=3, seed=1)
    copy = pickle.loads(pickle.dumps(images))
    assert torch.equal(copy[2, 1][0], images[2, 1][0])
    assert copy[0, 2][1:] == (1, 2)


def test_half_of_the_images_are_mirrored():
    images = TrainingImages(Drawn([0]), flip=True, seed=4)
    plain, mirrored = chw(face(0)), chw(face(0)[:, ::-1])
    shown = [images[epoch, 0][0] for epoch in range(400)]
    flips = sum(torch.equal(image, mirrored) for image in shown)
    assert flips + sum(torch.equal(image, plain) for image in shown) == 400
    assert 160 < flips < 240


def test_shifts_reach_both_ends_in_both_directions_and_repeat_the_border():
    images = TrainingImages(Drawn([0]), flip=False, shift=1, seed=0)
    wide = np.pad(face(0), ((1, 1), (1, 1), (0, 0)), mode="edge")
    windows = {
        (down, right): chw(wide[down : down + 112, right : right + 112])
        for down in range(3)
        for right in range(3)
    }
    seen = set()
    for epoch in range(100):
        image = images[epoch, 0][0]
        seen |= {place for place, window in windows.items() if torch.equal(image, window)}
    assert seen == set(windows)


def test_turning_one_augmentation_on_leaves_the_other_as_it_was():
    faces = Drawn([0])
    shifted = TrainingImages(faces, flip=False, shift=3, seed=1)
    both = TrainingImages(faces, flip=True, shift=3, seed=1)
    flipped = TrainingImages(faces, flip=True, seed=1)
    plain = chw(face(0))
    for epoch in range(20):
        if torch.equal(flipped[epoch, 0][0], plain):
            assert torch.equal(both[epoch, 0][0], shifted[epoch, 0][0])
        else:
            assert not torch.equal(both[epoch, 0][0], shifted[epoch, 0][0])


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"shift": -1}, {"shift": 112}])
def test_a_seed_or_shift_out_of_range_is_refused(wrong):
    with pytest.raises(UserError, match=r"seed is .+ and shift .+ pixels; seed must be at least 0"):
        TrainingImages(Drawn([0]), **wrong)


def test_input_runs_from_minus_one_to_one():
    got = to_input(torch.tensor([[0, 51, 255]], dtype=torch.uint8))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, torch.tensor([[-1.0, -0.6, 1.0]]))

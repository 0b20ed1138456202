# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.image.images import encode
from arcface_fair.data.record import dataset as record_dataset
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.recordio import RecordHeader, pack
from arcface_fair.data.record.writer import IndexedRecordWriter
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def dataset_of(folder, records):
    """records: (label or labels, payload), keys from 0."""
    with IndexedRecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, (label, payload) in enumerate(records):
            writer.write(key, pack(RecordHeader(0, label, key, 0), payload))
    return RecordDataset(folder)


def test_the_real_record_has_thirty_people_of_ten_photographs(orl):
    faces = RecordDataset(orl)
    assert faces.layout == "insightface"
    assert (faces.num_images, faces.num_classes) == (300, 30)
    assert faces.identities.tolist() == [n // 10 for n in range(300)]
    assert faces.read(299).shape == (112, 112, 3)
    assert faces.describe(16).startswith("record 17 of ")


def test_im2rec_layout_takes_every_record_numbers_or_arrays(tmp_path):
    image = encode(face(0), quality=None)
    faces = dataset_of(tmp_path, [([2.0, 9.0], image), (0.0, image), (1.0, image)])
    assert faces.layout == "im2rec"
    assert faces.identities.tolist() == [2, 0, 1]
    assert np.array_equal(faces.read(0), face(0))
    assert faces.describe(0) == f"record 0 of {tmp_path}/train.rec"


def test_im2rec_keys_need_not_start_at_zero(tmp_path):
    with IndexedRecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        for key in (8, 5):
            writer.write(key, pack(RecordHeader(0, float(key), key, 0), encode(face(key))))
    assert RecordDataset(tmp_path).identities.tolist() == [8, 5]


def test_ranges_give_labels_with_two_headers_each(write_record, monkeypatch):
    faces = RecordDataset(write_record([0, 0, 0, 1, 2, 2]))
    asked = []
    header = faces.reader.header
    monkeypatch.setattr(faces.reader, "header", lambda key: asked.append(key) or header(key))
    assert faces.identities.tolist() == [0, 0, 0, 1, 2, 2]
    assert sorted(set(asked)) == [1, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "tail",
    [
        [],
        [([1.0, 3.0], b""), ([4.0, 5.0], b"")],  # a gap
        [([1.0, 3.0], b""), ([3.0, 4.0], b"")],  # stops early
        [([1.0, 4.0], b""), ([4.0, 5.0], b"")],  # an image of another person
        [([1.0, 6.0], b""), ([6.0, 5.0], b"")],  # backwards
        [([1.0, float("nan")], b""), ([3.0, 5.0], b"")],
        [(1.0, b""), ([3.0, 5.0], b"")],
    ],
)
def test_labels_come_from_every_header_where_ranges_do_not_agree(tmp_path, tail):
    images = [(float(n // 2), b"x") for n in range(4)]
    faces = dataset_of(tmp_path, [([5.0, 7.0], b""), *images, *tail])
    assert faces.num_images == 4
    assert faces.identities.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("announced", [5.0, 6.0, 7.0])
def test_a_count_that_float32_has_rounded_is_found_again(tmp_path, monkeypatch, announced):
    monkeypatch.setattr(record_dataset, "_EXACT", 4)
    images = [(float(n // 3), b"x") for n in range(5)]
    tail = [([1.0, 4.0], b""), ([4.0, 6.0], b"")]
    faces = dataset_of(tmp_path, [([announced, announced + 2], b""), *images, *tail])
    assert faces.num_images == 5
    assert faces.identities.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("name", ["train.rec", "train.idx"])
def test_a_missing_file_is_named(write_record, name):
    folder = write_record([0, 1])
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name} cannot be read \(No such file"):
        RecordDataset(folder)


def test_an_index_shorter_than_the_record_announces_is_noticed(write_record):
    folder = write_record([0, 1, 1])
    lines = (folder / "train.idx").read_text().splitlines(keepends=True)
    (folder / "train.idx").write_text("".join(lines[:3]))
    with pytest.raises(UserError, match=r"record 0 of .+ announces 3 images but .+ lists 2; one"):
        RecordDataset(folder)


@pytest.mark.parametrize("labels", [[0.0, 0.0], [1.0, 1.0], [3.0, 2.0], [float("inf")] * 2])
def test_a_first_record_that_makes_no_sense_is_refused(tmp_path, labels):
    with pytest.raises(
        UserError, match=r"record 0 of .+ has the labels \[.+\], expected the numbe"
    ):
        dataset_of(tmp_path, [(labels, b""), (0.0, b"x")])


@pytest.mark.parametrize("label", [0.5, float("nan"), float("inf"), 1e20])
def test_a_label_that_is_no_class_is_named(tmp_path, label):
    faces = dataset_of(tmp_path, [(0.0, b"x"), (label, b"x")])
    with pytest.raises(UserError, match=r"record 1 of .+ has label .+, expected a whole number fr"):
        _ = faces.identities


def test_an_undecodable_image_is_named_by_record(write_record):
    faces = RecordDataset(write_record([0, 0, 1], bad=(1,)))
    with pytest.raises(UserError, match=r"record 2 of .+train.rec cannot be decoded as an image"):
        faces.read(1)


def test_an_image_that_contradicts_its_range_is_named(tmp_path):
    images = [(float(label), encode(face(0))) for label in (0, 1, 0)]
    faces = dataset_of(tmp_path, [([4.0, 5.0], b""), *images, ([1.0, 4.0], b"")])
    assert faces.identities.tolist() == [0, 0, 0]
    with pytest.raises(UserError, match=r"record 2 of .+ has label 1 but its identity range belon"):
        faces.read(1)

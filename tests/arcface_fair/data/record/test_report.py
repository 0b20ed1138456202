# SPDX-License-Identifier: MIT
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from arcface_fair.data.image.images import encode
from arcface_fair.data.record import scan as record_scan
from arcface_fair.data.record.recordio import RecordHeader, pack
from arcface_fair.data.record.report import inspect_record, words
from arcface_fair.data.record.writer import IndexedRecordWriter, frame
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face

JPEG = encode(face(0))


def record_of(folder, records):
    """records: (label, payload); keys from 0."""
    with IndexedRecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, (label, payload) in enumerate(records):
            writer.write(key, pack(RecordHeader(0, label, key, 0), payload))
    return inspect_record(folder)


def test_the_real_record_is_sound(orl):
    report = inspect_record(orl, decode_images=True)
    assert report.sound
    assert report.in_order
    assert (report.layout, report.announced) == ("insightface", (300, 30))
    assert report.counts().tolist() == [10] * 30
    assert dict(report.sizes) == {("jpeg", 112, 112): 300}
    text = "\n".join(words(report))
    assert "images:      300\nidentities:  30 (labels 0..29)\n" in text
    assert "per identity: 10 to 10 images, median 10, mean 10.0" in text
    assert "index:       agrees\nfaults:      none found" in text


def test_im2rec_files_label_arrays_gaps_and_mixed_order_are_told(tmp_path):
    png = encode(face(1), quality=None)
    report = record_of(tmp_path, [([2.0, 5.0], JPEG), (0.0, png), (2.0, JPEG)])
    assert report.layout == "im2rec"
    assert report.sound
    text = "\n".join(words(report))
    assert "every record is an image" in text
    assert "identities:  2 (labels 0..2), 1 labels without an image" in text
    assert "identities are mixed" in text
    assert "labels:      1 x array of 2, 2 x number" in text
    assert "sizes:       2 x 112 x 112 jpeg, 1 x 112 x 112 png" in text


@pytest.mark.parametrize(
    ("label", "payload", "fault"),
    [
        (0.5, JPEG, "has label 0.5, no whole number from 0"),
        (-1.0, JPEG, "has label -1, no whole number from 0"),
        (float("nan"), JPEG, "has label nan, no whole number from 0"),
        (0.0, b"text", "holds no image"),
        (0.0, b"", "holds no image"),
        (0.0, JPEG[: len(JPEG) // 2], "holds an image that is cut"),
    ],
)
def test_a_record_of_no_use_is_told_and_not_counted(tmp_path, label, payload, fault):
    report = record_of(tmp_path, [(0.0, JPEG), (label, payload), (1.0, JPEG)])
    assert report.labels.tolist() == [0, 1]
    assert [(f.key, f.what) for f in report.faults] == [(1, fault)]
    assert not report.sound
    assert f"  record 1 at byte {report.faults[0].offset} {fault}" in list(words(report))


def test_only_decoding_finds_damage_inside_an_image(tmp_path):
    png = bytearray(encode(face(0), quality=None))
    png[len(png) // 2] ^= 255
    assert record_of(tmp_path, [(0.0, bytes(png))]).sound
    report = inspect_record(tmp_path, decode_images=True, workers=3)
    assert report.faults[0].what == "holds an image that cannot be decoded"


def test_other_formats_are_images_of_unknown_size(tmp_path):
    import cv2

    bmp = cv2.imencode(".bmp", face(0))[1].tobytes()
    report = record_of(tmp_path, [(0.0, bmp)])
    assert report.sound
    assert dict(report.sizes) == {("other", 0, 0): 1}


def test_what_record_0_announces_is_held_against_what_lies_there(tmp_path):
    header = ([4.0, 6.0], b"")
    report = record_of(tmp_path, [header, (0.0, JPEG), (1.0, JPEG), ([1.0, 2.0], b"")])
    assert [f.what for f in report.faults] == [
        "announces 3 images, 2 are of use",
        "announces 2 identities, 1 ranges lie there",
    ]
    report = record_of(tmp_path, [([0.0, 0.0], b""), (0.0, JPEG)])
    assert report.faults[0].what == "announces the ranges 0, 0"


def test_damage_between_records_is_told_by_its_place(tmp_path, orl):
    content = (orl / "train.rec").read_bytes()
    (tmp_path / "train.rec").write_bytes(content[:40] + b"junk" * 5 + content[40:])
    (tmp_path / "train.idx").write_bytes((orl / "train.idx").read_bytes())
    report = inspect_record(tmp_path)
    assert report.faults[0] == (40, -1, "does not start with the magic number")
    assert len(report.labels) == 300
    assert report.index == "330 entries point to no record, 330 records have no entry"
    assert "  the place at byte 40 does not start with the magic number" in list(words(report))


def test_a_record_too_short_for_a_header_is_told(tmp_path):
    (tmp_path / "train.rec").write_bytes(frame(b"short"))
    report = inspect_record(tmp_path / "train.rec")
    assert report.faults[0].what == "the record is 5 bytes long but an image header takes 24"
    assert report.index == "train.idx is missing"


def test_an_index_that_is_none_is_told(tmp_path):
    record_of(tmp_path, [(0.0, JPEG)])
    (tmp_path / "train.idx").write_text("nonsense")
    assert inspect_record(tmp_path).index.endswith("train.idx is no index: every line must be a re"
        "cord's key, a tab and its byte offset, both whole numbers from 0")  # fmt: skip


def test_an_empty_and_a_missing_record(tmp_path):
    (tmp_path / "train.rec").write_bytes(b"")
    report = inspect_record(tmp_path)
    assert "images:      0" in list(words(report))
    with pytest.raises(UserError, match="cannot be read"):
        inspect_record(tmp_path / "absent")


def test_memory_is_that_of_two_numbers_per_image(tmp_path, monkeypatch):
    monkeypatch.setattr(record_scan, "_CHUNK", 1 << 16)
    small = encode(np.zeros((112, 112, 3), np.uint8))
    record_of(tmp_path, [(float(n // 10), small) for n in range(4000)])
    inspect_record(tmp_path)
    tracemalloc.start()
    inspect_record(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "train.rec").stat().st_size > 2_500_000
    assert peak < 1_000_000

# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import numpy as np
import pytest

from arcface_fair.data.record.recordio import IndexedRecordReader, unpack
from arcface_fair.data.record.writer import (
    IndexedRecordWriter,
    frame,
    write_insightface_record,
)
from arcface_fair.errors import UserError

MAGIC = b"\x0a\x23\xd7\xce"


def test_rewriting_every_record_that_mxnet_wrote_gives_its_bytes(orl, tmp_path):
    reader = IndexedRecordReader(orl / "train.rec", orl / "train.idx")
    with IndexedRecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key in reader.keys.tolist():
            writer.write(key, reader.read(key))
    assert (tmp_path / "a.rec").read_bytes() == (orl / "train.rec").read_bytes()
    assert (tmp_path / "a.idx").read_bytes() == (orl / "train.idx").read_bytes()


def test_insightface_layout_from_the_images_alone_gives_the_real_files(orl, tmp_path):
    reader = IndexedRecordReader(orl / "train.rec", orl / "train.idx")
    records = (unpack(reader.read(key)) for key in range(1, 301))
    images = ((payload, int(header.label)) for header, payload in records)
    assert write_insightface_record(tmp_path, images, 30) == 300
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / name).read_bytes() == (orl / name).read_bytes()


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        (b"", [(0, b"")]),
        (b"abcde", [(0, b"abcde")]),
        (MAGIC, [(1, b""), (3, b"")]),
        (b"ab" + MAGIC, [(0, b"ab" + MAGIC)]),  # not at a multiple of four: stays
        (b"abcd" + MAGIC + b"ef", [(1, b"abcd"), (3, b"ef")]),
        (MAGIC * 3 + b"x", [(1, b""), (2, b""), (2, b""), (3, b"x")]),
        (b"a" + MAGIC + b"abc" + MAGIC, [(1, b"a" + MAGIC + b"abc"), (3, b"")]),
    ],
)
def test_a_record_is_split_where_an_aligned_word_is_the_magic_number(record, parts):
    expected = b"".join(
        MAGIC + struct.pack("<I", flag << 29 | len(data)) + data for flag, data in parts
    )
    assert frame(record) == expected + bytes(-len(record) % 4)


def test_what_is_written_is_read_back_whatever_it_holds(tmp_path):
    rng = np.random.default_rng(0)
    words = [MAGIC, b"abcd", b"x", b"", MAGIC[:2], MAGIC[2:]]
    records = [
        b"".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 12)))
        for _ in range(500)
    ]
    with IndexedRecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for number, record in enumerate(records):
            writer.write(3 * number, record)
    reader = IndexedRecordReader(tmp_path / "a.rec", tmp_path / "a.idx")
    assert [reader.read(key) for key in reader.keys.tolist()] == records


def test_a_failure_leaves_no_file(tmp_path):
    def images():
        yield b"jpeg", 0
        raise KeyError

    with pytest.raises(KeyError):
        write_insightface_record(tmp_path / "out", images(), 1)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("identities", "num_classes", "sentence"),
    [
        ([0, 2], 3, "image 2 has identity 2 after 0; give the images in the order"),
        ([0, 1, 0], 2, "image 3 has identity 0 after 1; give the images in the order"),
        ([0, 1, 2], 2, r"image 3 has identity 2, outside 0..1; number the identities from 0"),
        ([-1], 2, r"image 1 has identity -1, outside 0..1; number the identities"),
        ([0, 0], 2, "1 identities have images but num_classes is 2; give every class at least"),
    ],
)
def test_identities_out_of_order_are_refused(tmp_path, identities, num_classes, sentence):
    with pytest.raises(UserError, match=sentence):
        write_insightface_record(tmp_path / "out", [(b"", i) for i in identities], num_classes)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_negative_key_is_refused(tmp_path):
    with (
        pytest.raises(UserError, match="key -1 cannot be written: keys are whole numbers from 0"),
        IndexedRecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer,
    ):
        writer.write(-1, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_record_beyond_the_format_is_refused():
    class Long(bytes):
        def __len__(self):
            return 1 << 29

    with pytest.raises(UserError, match="a record of 536870912 bytes does not fit: RecordIO holds"):
        frame(Long())

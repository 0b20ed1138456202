# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import multiprocessing
import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from arcface_fair.data.record.recordio import IndexedRecordReader, RecordHeader, pack, unpack
from arcface_fair.data.record.writer import IndexedRecordWriter
from arcface_fair.errors import UserError

MAGIC = b"\x0a\x23\xd7\xce"


# mx.recordio.MXIndexedRecordIO of MXNet 1.9.1, three records at bytes 0, 48, 108 with id2 = 9:
# (4.0, id 1, b"abcd" + MAGIC + b"xyz"), ([1, 2, 3], 2, MAGIC + MAGIC) and
# (7.0, id 0xCED7230A, b"a" + MAGIC + b"abc" + MAGIC + b"!").
BY_MXNET = base64.b85decode(
    "3M1Ff8~^|y00000004kM0RR91000002><{900000VPa!s3M1Ff0{{SEczJpN3M1FfBme*)0{{R3000000ssI200000"
    "2><{900000004kL0000$002Nh3M1Ff0000$3M1Ff0001B3M1Ff2mk;e00000007`X3M1Ff6aWA~000002><{900000"
    "VG1MH&S7F>3M1Ff0RRACApigX"
)


def part(flag, data):
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + bytes(-len(data) % 4)


def reader_of(tmp_path, content, index="0\t0\n"):
    (tmp_path / "a.rec").write_bytes(content)
    (tmp_path / "a.idx").write_text(index)
    return IndexedRecordReader(tmp_path / "a.rec", tmp_path / "a.idx")


def written(tmp_path, records):
    with IndexedRecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key, record in enumerate(records):
            writer.write(key, record)
    return IndexedRecordReader(tmp_path / "a.rec", tmp_path / "a.idx")


def test_the_real_record_has_its_header_its_images_and_its_ranges(orl):
    reader = IndexedRecordReader(orl / "train.rec", orl / "train.idx")
    assert reader.keys.tolist() == list(range(331))
    header, payload = unpack(reader.read(0))
    assert header.flag == 2
    assert header.label.tolist() == [301, 331]
    assert payload == b""
    header, payload = unpack(reader.read(300))
    assert header == (0, 29.0, 300, 0)
    assert payload[:3] == b"\xff\xd8\xff"
    assert unpack(reader.read(330))[0].label.tolist() == [291, 301]


def test_parts_are_joined_by_the_magic_number(tmp_path):
    content = part(1, b"abcd") + part(2, b"") + part(2, b"efgh") + part(3, b"xyz") + part(0, b"!")
    reader = reader_of(tmp_path, content, f"0\t0\n1\t{len(content) - 12}\n")
    assert reader.read(0) == b"abcd" + MAGIC + MAGIC + b"efgh" + MAGIC + b"xyz"
    assert reader.read(1) == b"!"


def test_records_of_several_parts_by_mxnet_are_read_and_packed_as_it_does(tmp_path):
    reader = reader_of(tmp_path, BY_MXNET, "0\t0\n1\t48\n2\t108\n")
    expected = [
        (RecordHeader(0, 4.0, 1, 9), b"abcd" + MAGIC + b"xyz"),
        (RecordHeader(3, np.float32([1, 2, 3]), 2, 9), MAGIC + MAGIC),
        (RecordHeader(0, 7.0, 0xCED7230A, 9), b"a" + MAGIC + b"abc" + MAGIC + b"!"),
    ]
    for key, (header, payload) in enumerate(expected):
        assert reader.read(key) == pack(header, payload)
    written(tmp_path / "ours", [pack(*record) for record in expected])
    assert (tmp_path / "ours/a.rec").read_bytes() == BY_MXNET
    assert (tmp_path / "ours/a.idx").read_text() == "0\t0\n1\t48\n2\t108\n"


def test_a_record_longer_than_the_first_read_comes_whole(tmp_path):
    long = np.random.default_rng(0).bytes(200_001)
    assert written(tmp_path, [b"a", long, b"b"]).read(1) == long


def test_header_is_that_of_the_whole_record(tmp_path):
    headers = [
        RecordHeader(0, 3.0, 5, 6),
        RecordHeader(3, np.float32([1, 2, 3]), 7, 8),
        RecordHeader(0, 3.0, 0xCED7230A, 0),  # the id is the magic number: two parts
    ]
    reader = written(tmp_path, [pack(header, b"x" * 100) for header in headers])
    for key, header in enumerate(headers):
        got = reader.header(key)
        assert got[2:] == header[2:]
        assert np.array_equal(got.label, header.label)
        assert got.first_label == np.ravel(header.label)[0]


def test_threads_share_one_reader(tmp_path):
    records = [np.random.default_rng(n).bytes(50 + n) for n in range(200)]
    reader = written(tmp_path, records)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(reader.read, list(range(200)) * 5))
    assert got == records * 5


def _send(reader, key, pipe):
    pipe.send(reader.read(key))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_share_one_reader(tmp_path, method):
    reader = written(tmp_path, [b"first", b"second"])
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=_send, args=(reader, 1, there))
    process.start()
    assert here.poll(60)
    assert here.recv() == b"second"
    process.join()
    assert reader.read(0) == b"first"


def test_a_pickled_reader_opens_the_file_anew(tmp_path):
    reader = written(tmp_path, [b"first", b"second"])
    copy = pickle.loads(pickle.dumps(reader))
    reader.close()
    assert copy.read(1) == b"second"


def test_closing_gives_the_descriptor_back(tmp_path):
    reader = written(tmp_path, [b"a"])
    with reader:
        descriptor = reader._fd
        os.fstat(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_missing_record_file_is_named(tmp_path):
    (tmp_path / "a.idx").write_text("0\t0\n")
    with pytest.raises(UserError, match=r"record file .+a.rec cannot be read \(No such file"):
        IndexedRecordReader(tmp_path / "a.rec", tmp_path / "a.idx")


def test_a_record_cut_at_the_end_is_noticed_on_opening(tmp_path):
    content = part(0, b"a" * 40)
    with pytest.raises(UserError, match=r"record 0 of .+ should end at byte 48, the file at 40;"):
        reader_of(tmp_path, content[:40])
    with pytest.raises(UserError, match=r"record 0 of .+ stops at byte 5, the end of the file;"):
        reader_of(tmp_path, content[:5])


def test_a_record_cut_between_its_parts_is_noticed(tmp_path):
    with pytest.raises(UserError, match=r"record 0 of .+ stops at byte 12, the end of the file"):
        reader_of(tmp_path, part(1, b"abcd"))


@pytest.mark.parametrize("parts", [part(2, b"abcd"), part(1, b"abcd") + part(0, b"abcd")])
def test_parts_out_of_order_are_noticed(tmp_path, parts):
    with pytest.raises(UserError, match=r"record 0 of .+ has a part of kind \d at byte \d+; the"):
        reader_of(tmp_path, parts)


def test_an_index_of_another_file_is_noticed_with_the_record(tmp_path):
    content = part(0, b"abcd") + part(0, b"efgh") + part(0, b"ijkl")
    reader = reader_of(tmp_path, content, "0\t0\n1\t16\n2\t24\n")
    sentence = r"record 1 of .+a.rec does not start at byte 16, where its index says; .+ copy both"
    with pytest.raises(UserError, match=sentence):
        reader.read(1)


def test_unpack_inverts_pack_for_numbers_and_arrays():
    assert unpack(pack(RecordHeader(0, 2.0, 3, 4), b"xyz")) == (RecordHeader(0, 2.0, 3, 4), b"xyz")
    header, payload = unpack(pack(RecordHeader(0, [1.0, 2.5], 1 << 40, 0), b"xyz"))
    assert (header.flag, header.id, payload) == (2, 1 << 40, b"xyz")
    assert header.label.dtype == np.float32
    assert header.label.tolist() == [1.0, 2.5]


def test_a_record_shorter_than_its_header_is_named():
    with pytest.raises(UserError, match="record 7 is 5 bytes long but an image header takes 24"):
        unpack(b"short", "record 7")
    record = struct.pack("<IfQQ", 9, 0, 0, 0) + bytes(8)
    with pytest.raises(UserError, match="record 7 announces 9 labels but has 8 bytes after its"):
        unpack(record, "record 7")


def mutations_end_well(folder, work, count):
    """Changes, cuts and doubles bytes of both files; every outcome is a read or a UserError."""
    rng = np.random.default_rng(5)
    files = {name: (folder / name).read_bytes() for name in ("a.rec", "a.idx")}
    clean = refused = 0
    for _ in range(count):
        name = ("a.rec", "a.idx")[int(rng.integers(2))]
        data = bytearray(files[name])
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        data = data[: int(rng.integers(len(data)))] if rng.random() < 0.2 else data
        for other, content in files.items():
            (work / other).write_bytes(data if other == name else content)
        try:
            with IndexedRecordReader(work / "a.rec", work / "a.idx") as reader:
                for key in reader.keys.tolist():
                    unpack(reader.read(key))
                    reader.header(key)
            clean += 1
        except UserError:
            refused += 1
    return clean, refused


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused(tmp_path, count):
    (tmp_path / "work").mkdir()
    records = [pack(RecordHeader(0, 1.0, n, 0), MAGIC * (n % 3)) for n in range(12)]
    written(tmp_path, records).close()
    clean, refused = mutations_end_well(tmp_path, tmp_path / "work", count)
    assert clean > count / 20
    assert refused > count / 3

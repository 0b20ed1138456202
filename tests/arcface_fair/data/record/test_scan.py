# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import struct
import tracemalloc

import numpy as np
import pytest

from arcface_fair.data.record import scan as record_scan
from arcface_fair.data.record.recordio import IndexedRecordReader, RecordHeader, pack
from arcface_fair.data.record.scan import RecordFile, scan_records
from arcface_fair.data.record.writer import frame
from arcface_fair.errors import UserError

MAGIC = b"\x0a\x23\xd7\xce"


def part(flag, data):
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + bytes(-len(data) % 4)


def scanned(tmp_path, content):
    (tmp_path / "a.rec").write_bytes(content)
    return list(scan_records(tmp_path / "a.rec"))


def test_a_scan_gives_what_the_index_gives(orl):
    reader = IndexedRecordReader(orl / "train.rec", orl / "train.idx")
    stretches = list(scan_records(orl / "train.rec"))
    assert [s.record for s in stretches] == [reader.read(key) for key in range(331)]
    assert [s.offset for s in stretches[1:]] == [s.end for s in stretches[:-1]]
    assert not any(s.damage for s in stretches)


@pytest.mark.parametrize("chunk", [16, 50, 1 << 20])
def test_records_of_any_length_and_parts_come_whole_whatever_the_chunk(
    tmp_path, monkeypatch, chunk
):
    monkeypatch.setattr(record_scan, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    words = [MAGIC, b"abcd", b"x", b"", MAGIC[:2], MAGIC[2:], bytes(70)]
    records = [
        b"".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 12)))
        for _ in range(200)
    ]
    stretches = scanned(tmp_path, b"".join(frame(record) for record in records))
    assert [s.record for s in stretches] == records
    with RecordFile(tmp_path / "a.rec") as file:
        assert [file.read(s.offset) for s in stretches[::-1]] == records[::-1]


def test_an_empty_file_has_no_records(tmp_path):
    assert scanned(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("middle", "damage"),
    [
        (b"text" * 3, "does not start with the magic number"),
        (part(2, b"abcd"), "has a part of kind 2 where none can be"),
        (part(1, b"abcd") + part(0, b""), "has a part of kind 0 where none can be"),
        (MAGIC + struct.pack("<I", 25) + b"abcd", "holds the start of another record"),
        (MAGIC + struct.pack("<I", 1 << 28), "is cut at the end of the file"),
    ],
)
def test_reading_goes_on_behind_damage(tmp_path, middle, damage):
    stretches = scanned(tmp_path, frame(b"first") + middle + frame(b"last") + frame(b"x"))
    assert stretches[0].record == b"first"
    assert (stretches[1].offset, stretches[1].record) == (16, b"")
    assert stretches[1].damage == damage
    assert [s.record for s in stretches if not s.damage][-1] == b"x"
    assert [s.offset for s in stretches[1:]] == [s.end for s in stretches[:-1]]


@pytest.mark.parametrize("junk", range(1, 8))
def test_records_are_found_behind_any_number_of_odd_bytes(tmp_path, junk):
    records = [b"first", b"a" + MAGIC + b"b", MAGIC, b"last"]
    content = b"".join(frame(record) for record in records)
    stretches = scanned(tmp_path, frame(b"x") + bytes(junk) + content)
    assert [s.record for s in stretches] == [b"x", b"", *records]
    assert (stretches[1].end - stretches[1].offset) == junk


def test_a_cut_record_at_the_end_is_told(tmp_path):
    stretches = scanned(tmp_path, frame(b"first") + frame(b"last" * 9)[:-5])
    assert [s.damage for s in stretches] == ["", "is cut at the end of the file"]
    assert stretches[-1].end == 16 + 44 - 5


def test_a_wrong_length_of_half_a_gigabyte_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(record_scan, "_CHUNK", 1 << 16)
    with (tmp_path / "a.rec").open("wb") as file:
        file.write(MAGIC + struct.pack("<I", 300 << 20) + frame(b"inside"))
        file.truncate(400 << 20)
    tracemalloc.start()
    with RecordFile(tmp_path / "a.rec") as file:
        stretches = [next(iter(file.scan()))]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert stretches[0].damage == "holds the start of another record"
    assert stretches[0].end == 8


def test_progress_adds_up_to_the_size(orl):
    told = []
    list(scan_records(orl / "train.rec", told.append))
    assert sum(told) == os.path.getsize(orl / "train.rec")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"record file .+a.rec cannot be read \(No such file"):
        RecordFile(tmp_path / "a.rec")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        RecordFile(tmp_path)


def test_a_record_that_has_changed_since_is_noticed(tmp_path):
    stretches = scanned(tmp_path, frame(b"first") + frame(b"last"))
    with RecordFile(tmp_path / "a.rec") as file:
        (tmp_path / "a.rec").write_bytes(frame(b"other, longer") + frame(b"x"))
        with pytest.raises(UserError, match=r"a.rec at byte 16 does not start .+ start again"):
            file.read(stretches[1].offset)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_scanned_to_their_end(tmp_path, count):
    rng = np.random.default_rng(6)
    records = [pack(RecordHeader(0, 1.0, n, 0), MAGIC * (n % 3) + bytes(n)) for n in range(12)]
    content = b"".join(frame(record) for record in records)
    hurt = 0
    for _ in range(count):
        data = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        data = data[: int(rng.integers(len(data)))] if rng.random() < 0.2 else data
        stretches = scanned(tmp_path, bytes(data))
        assert sum(s.end - s.offset for s in stretches) == len(data)
        hurt += any(s.damage for s in stretches)
    assert hurt > count / 5

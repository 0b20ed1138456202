# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.data.record.recordio import RecordHeader, pack
from arcface_fair.data.record.report import rebuild_index
from arcface_fair.data.record.writer import IndexedRecordWriter, frame
from arcface_fair.errors import UserError


def test_a_rebuilt_index_is_the_one_that_mxnet_wrote(orl, tmp_path):
    assert rebuild_index(orl / "train.rec", tmp_path / "a.idx") == 331
    assert (tmp_path / "a.idx").read_bytes() == (orl / "train.idx").read_bytes()


def test_keys_are_positions_where_the_headers_do_not_tell(tmp_path):
    with IndexedRecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key in range(3):
            writer.write(key, pack(RecordHeader(0, 1.0, 0, 0), b"x"))
    before = (tmp_path / "a.idx").read_bytes()
    rebuild_index(tmp_path / "a.rec", tmp_path / "a.idx")
    assert (tmp_path / "a.idx").read_bytes() == before


def test_no_index_is_built_for_a_damaged_or_empty_file(tmp_path):
    good = frame(pack(RecordHeader(0, 1.0, 0, 0), b"x"))
    for content, sentence in [
        (good + b"text", r"a.rec at byte 36 is cut at .+ write a clean copy with .+ --repair OUT"),
        (frame(b"short"), "the record at byte 0 of .+ is 5 bytes long but an image header takes"),
        (b"", "a.rec holds no record; copy the file again"),
    ]:
        (tmp_path / "a.rec").write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            rebuild_index(tmp_path / "a.rec", tmp_path / "a.idx")
    assert not (tmp_path / "a.idx").exists()

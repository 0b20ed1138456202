# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.record.index import RecordIndex, read_index
from arcface_fair.errors import UserError


def index_of(tmp_path, text, size=1000):
    path = tmp_path / "faces.idx"
    path.write_text(text)
    return RecordIndex(path, tmp_path / "faces.rec", size)


def test_keys_and_offsets_keep_the_order_of_the_file(tmp_path):
    path = tmp_path / "faces.idx"
    path.write_text("7\t0\n3\t40\n5\t16")
    keys, offsets = read_index(path)
    assert keys.dtype == offsets.dtype == np.int64
    assert keys.tolist() == [7, 3, 5]
    assert offsets.tolist() == [0, 40, 16]


@pytest.mark.parametrize("text", ["0\t0\n1\t40\n2\t90\n", "2\t90\n0\t0\n1\t40\n"])
def test_a_record_reaches_to_the_next_one_and_the_last_to_the_end(tmp_path, text):
    index = index_of(tmp_path, text)
    assert [index.locate(key) for key in (0, 1, 2)] == [(0, 40), (40, 90), (90, 1000)]
    assert len(index) == 3
    assert [key in index for key in (-1, 0, 2, 3)] == [False, True, True, False]


def test_outermost_keys_are_by_place_in_the_record(tmp_path):
    assert index_of(tmp_path, "4\t90\n9\t0\n6\t40\n").outermost_keys() == (9, 4)


@pytest.mark.parametrize("text", ["0\t0\n1\t40\n", "5\t0\n1\t40\n"])
def test_an_absent_key_is_named(tmp_path, text):
    with pytest.raises(UserError, match=r"faces.idx has no key 17; it and .+ copy both again"):
        index_of(tmp_path, text).locate(17)


@pytest.mark.parametrize(
    "text", ["", "\n", "a\tb\n", "1.5\t0\n", "1\t0\n2\n", "1\n0\n", "-1\t0\n", "0\t-4\n", "\0\0"]
)
def test_what_is_no_index_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"faces.idx is no index: every line must be .+ rebuild"):
        index_of(tmp_path, text)


def test_a_missing_index_is_named(tmp_path):
    with pytest.raises(UserError, match=r"index .+absent.idx cannot be read \(No such file"):
        read_index(tmp_path / "absent.idx")


def test_a_double_key_is_named(tmp_path):
    with pytest.raises(UserError, match=r"faces.idx names key 3 twice; keys must be unique"):
        index_of(tmp_path, "3\t0\n1\t16\n3\t32\n")


def test_an_offset_past_the_end_of_the_record_is_named(tmp_path):
    with pytest.raises(UserError, match=r"points to byte 40 but .+ has only 40 bytes; the record"):
        index_of(tmp_path, "0\t0\n1\t40\n", size=40)

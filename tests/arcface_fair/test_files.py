# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno

import pytest

from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files, finite_or_none, sha256, write_whole


def test_files_appear_together_at_the_end_and_parents_are_made(tmp_path):
    paths = tmp_path / "new" / "a", tmp_path / "new" / "b"
    with atomic_files(*paths) as (first, second):
        first.write(b"1")
        second.write(b"2")
        assert not any(path.exists() for path in paths)
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == ["a", "b"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_new(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic_files(path, tmp_path / "b") as (first, _):  # noqa: PT012
        first.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(UserError, match=r"file/a cannot be written \(.+\); choose a folder that"),
        atomic_files(tmp_path / "file" / "a"),
    ):
        pass


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(UserError, match=r"a cannot be written \(No space left on device\)"),
        atomic_files(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_is_not_taken_for_ours(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_files(tmp_path / "a"):
        (tmp_path / "absent").read_bytes()


def test_folders_are_made_and_nothing_else_stays(tmp_path):
    path = write_whole(tmp_path / "a" / "b.html", b"text")
    assert path.read_bytes() == b"text"
    assert [p.name for p in path.parent.iterdir()] == ["b.html"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"b\.html cannot be written"):
        write_whole(tmp_path / "file" / "b.html", b"text")


def test_digest_is_that_of_the_bytes(tmp_path):
    path = write_whole(tmp_path / "a", b"abc")
    assert sha256(path).startswith("ba7816bf8f01cfea")


def test_json_holds_no_number_that_is_none():
    assert [finite_or_none(v) for v in (0.5, float("nan"), float("inf"))] == [0.5, None, None]

# SPDX-License-Identifier: MIT
"""Folders: whole or absent, replaced only by a whole one, and only if they are ours."""

from __future__ import annotations

import re

import pytest

from arcface_fair.errors import UserError
from drawn_faces.write import SUMMARY, whole_folder


def write(folder, text: str, *, force: bool = False, fail: bool = False) -> None:
    with whole_folder(folder, force) as draft:
        (draft / SUMMARY).write_text(text)
        if fail:
            raise RuntimeError("halfway")


def test_the_folder_appears_when_the_block_ends_well(tmp_path):
    write(tmp_path / "a" / "world", "new")
    assert (tmp_path / "a" / "world" / SUMMARY).read_text() == "new"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["world"]


def test_nothing_stays_of_a_failure(tmp_path):
    with pytest.raises(RuntimeError, match="halfway"):
        write(tmp_path / "world", "new", fail=True)
    assert list(tmp_path.iterdir()) == []


def test_force_replaces_a_drawn_world_and_a_failure_keeps_it(tmp_path):
    write(tmp_path / "world", "old")
    with pytest.raises(RuntimeError, match="halfway"):
        write(tmp_path / "world", "new", force=True, fail=True)
    assert (tmp_path / "world" / SUMMARY).read_text() == "old"
    write(tmp_path / "world", "new", force=True)
    assert (tmp_path / "world" / SUMMARY).read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_an_existing_folder_is_refused_without_force(tmp_path):
    message = f"{tmp_path} exists already; expected a new folder; name another one or give --force"
    with pytest.raises(UserError, match=re.escape(message)):
        write(tmp_path, "new")


def test_force_spares_a_folder_that_is_no_drawn_world(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    message = "holds no world.json, so no drawn world; --force replaces only folders"
    with pytest.raises(UserError, match=re.escape(message)):
        write(tmp_path, "new", force=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"world cannot be written \(Not a directory\); choose"):
        write(tmp_path / "file" / "world", "new")

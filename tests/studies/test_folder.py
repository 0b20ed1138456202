# SPDX-License-Identifier: MIT
"""Folder: what is no benchmark of this version is refused in a sentence."""

import pytest

from arcface_fair.errors import UserError
from studies.folder import Folder, read_json, write_json


def test_new_folder_is_made_and_found_again(tmp_path):
    Folder(tmp_path / "new")
    assert Folder(tmp_path / "new").state() == {"format": 1, "opened": {}}


def test_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds other things than a benchmark; name a new folder"):
        Folder(tmp_path)


def test_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file is a file; name a folder"):
        Folder(tmp_path / "file")


def test_folder_of_another_version_is_refused(tmp_path):
    write_json(tmp_path / "benchmark.json", {"format": 7, "opened": {}})
    with pytest.raises(
        UserError, match=r"made by a version with format 7, this one writes 1; name"
    ):
        Folder(tmp_path)


def test_only_whole_runs_count(tmp_path):
    folder = Folder(tmp_path / "b")
    write_json(folder.run_file("abc"), {"key": "abc"})
    (folder.run_file("abc").parent / ".abd.json.12.part").write_text('{"key"')
    assert folder.finished("abc")
    assert not folder.finished("abd")
    assert folder.record("abd") is None
    assert list(folder.records()) == ["abc"]


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": ', r"is not whole JSON .*; remove it"), ("[1]", r"holds no JSON object; remove it")],
)
def test_broken_json_is_named(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_json(tmp_path / "x.json")


def test_missing_json_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.json: No such file.*; name another"):
        read_json(tmp_path / "none.json")

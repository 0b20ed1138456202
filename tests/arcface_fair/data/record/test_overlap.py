# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.data.record.overlap import overlapping, read_names
from arcface_fair.errors import UserError


def test_lists_are_names_people_files_and_pair_files(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffAnn Lee\n\n# comment\nBo\n", encoding="utf-8")
    (tmp_path / "people.txt").write_text("m.01\t3\nm.02\t4\n")
    (tmp_path / "pairs.txt").write_text("m.03\t1\t2\nm.04\t1\tm.05\t2\n")
    assert read_names(tmp_path / "a.txt") == {"Ann Lee", "Bo"}
    assert read_names(tmp_path / "people.txt") == {"m.01", "m.02"}
    assert read_names(tmp_path / "pairs.txt") == {"m.03", "m.04", "m.05"}


def test_names_match_in_any_unicode_form_and_behind_a_group(tmp_path):
    (tmp_path / "a.txt").write_text("Ren\u00e9\nm.02\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Zed\n")
    names = ["Bo", "Rene\u0301", "African/m.02", "m.020", "Zed"]
    assert overlapping(names, [tmp_path / "a.txt", tmp_path / "b.txt"]) == [1, 2, 4]


def test_a_list_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("# nobody\n")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match=r"a.txt holds no name; write one name a line"):
        read_names(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"b.txt cannot be read \(not UTF-8 text\)"):
        read_names(tmp_path / "b.txt")
    with pytest.raises(UserError, match=r"c.txt cannot be read \(No such file"):
        read_names(tmp_path / "c.txt")

# SPDX-License-Identifier: MIT
"""A file is written whole or not at all."""

import pytest

from arcface_fair.errors import UserError
from arcface_fair.report.write import write_whole


def test_folders_are_made_and_nothing_else_stays(tmp_path):
    path = write_whole(tmp_path / "a" / "b.html", b"text")
    assert path.read_bytes() == b"text"
    assert [p.name for p in path.parent.iterdir()] == ["b.html"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"b\.html cannot be written"):
        write_whole(tmp_path / "file" / "b.html", b"text")

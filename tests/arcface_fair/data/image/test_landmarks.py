# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.data.image.landmarks import Landmarks
from arcface_fair.errors import UserError

TEN = " ".join(str(n) for n in range(10))
RFW = "/test/data/African/m.01/m.01_0003.jpg\t7\t" + TEN.replace(" ", "\t")


def read(tmp_path, text):
    (tmp_path / "lmk.txt").write_text(text, encoding="utf-8")
    return Landmarks(tmp_path / "lmk.txt")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (RFW, "x/data/African/m.01/m.01_0003.jpg"),
        (RFW, "m.01/m.01_0003.jpg"),
        (f"000001.jpg {TEN}", "CelebA/img_align_celeba/000001.jpg"),
        (f"A b/photo 3.jpg {TEN}", "src/A b/photo 3.jpg"),
        (f"A/1.jpg,{TEN.replace(' ', ',')}", "A/1.jpg"),
        (f"A\\1.jpg {TEN}", "A/1.jpg"),
        (f"Ren\u00e9/1.jpg {TEN}", "Rene\u0301/1.jpg"),
    ],
)
def test_lines_of_every_kind_are_found_by_the_end_of_the_path(tmp_path, line, path):
    points = read(tmp_path, line + "\n").find(path)
    assert points.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_a_count_and_a_header_are_passed_over(tmp_path):
    text = f"202599\nlefteye_x lefteye_y righteye_x\n000001.jpg {TEN}\n\n000002.jpg {TEN}\n"
    assert len(read(tmp_path, text)) == 2


def test_an_image_that_is_not_listed_has_none(tmp_path):
    table = read(tmp_path, f"A/x/1.jpg {TEN}\nB/x/1.jpg {TEN.replace('9', '5')}\n")
    assert table.find("A/x/1.jpg")[4, 1] == 9
    assert table.find("B/x/1.jpg")[4, 1] == 5
    assert table.find("x/1.jpg") is None  # of two images
    assert table.find("x/2.jpg") is None
    assert table.find("other/1.jpg") is None  # a file name alone says nothing


def test_a_line_may_repeat_but_not_contradict(tmp_path):
    assert len(read(tmp_path, f"A/1.jpg {TEN}\nA/1.jpg {TEN}\n")) == 1
    with pytest.raises(UserError, match=r"line 2: A/1.jpg has other landmarks in an earlier line"):
        read(tmp_path, f"A/1.jpg {TEN}\nA/1.jpg {TEN.replace('9', '5')}\n")


@pytest.mark.parametrize("line", ["A/2.jpg 1 2 3", f"A/2.jpg {TEN.replace('9', 'x')}", "A/2.jpg"])
def test_a_wrong_line_is_named(tmp_path, line):
    with pytest.raises(
        UserError, match=r"lmk.txt, line 2: expected a path and ten numbers .+ 'A/2"
    ):
        read(tmp_path, f"A/1.jpg {TEN}\n{line}\n")


def test_several_lists_are_one_table(tmp_path):
    (tmp_path / "a").write_text(f"A/1.jpg {TEN}\n")
    (tmp_path / "b").write_text(f"count\nB/1.jpg {TEN}\n")
    table = Landmarks(tmp_path / "a", tmp_path / "b")
    assert len(table) == 2
    assert table.find("B/1.jpg") is not None
    (tmp_path / "c").write_text("nothing\n")
    with pytest.raises(UserError, match=r"landmarks .+c holds no line of a path"):
        Landmarks(tmp_path / "a", tmp_path / "c")


def test_a_file_without_landmarks_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"lmk.txt holds no line of a path and ten numbers; write"):
        read(tmp_path, "text\n")
    with pytest.raises(UserError, match=r"absent.txt cannot be read \(No such file"):
        Landmarks(tmp_path / "absent.txt")
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"b cannot be read \(not UTF-8 text\)"):
        Landmarks(tmp_path / "b")

# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE
from arcface_fair.data.image.images import encode
from arcface_fair.data.sets.ijb import read_ijb
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


@pytest.fixture
def ijb(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "loose_crop").mkdir()
    numbers = " ".join(f"{n:.3f}" for n in TEMPLATE.ravel())
    meta = tmp_path / "meta"
    (meta / "ijbc_face_tid_mid.txt").write_text("1.jpg 1 11\n2.jpg 1 11\n3.jpg 7 13\n")
    (meta / "ijbc_template_pair_label.txt").write_text("1 7 0\n1 1 1\n")
    (meta / "ijbc_name_5pts_score.txt").write_text(
        "".join(f"{n}.jpg {numbers} 0.9{n}\n" for n in (1, 2, 3))
    )
    for n in (1, 2):
        (tmp_path / "loose_crop" / f"{n}.jpg").write_bytes(encode(face(n), quality=None))
    return tmp_path


def test_the_lists_become_arrays(ijb):
    got = read_ijb(ijb)
    assert got.names == ("1.jpg", "2.jpg", "3.jpg")
    assert got.templates.tolist() == [1, 1, 7]
    assert got.media.tolist() == [11, 11, 13]
    assert got.landmarks.shape == (3, 5, 2)
    np.testing.assert_allclose(got.landmarks[2], TEMPLATE, atol=1e-3)
    np.testing.assert_allclose(got.scores, [0.91, 0.92, 0.93], atol=1e-6)
    assert got.pairs.tolist() == [[1, 7], [1, 1]]
    assert got.same.tolist() == [False, True]


def test_faces_are_aligned_by_their_landmarks(ijb):
    got = read_ijb(ijb)
    assert np.abs(got.face(1).astype(int) - face(2)).mean() < 1
    with pytest.raises(UserError, match=r"3.jpg cannot be read \(No such file .+; the list names"):
        got.face(2)
    (ijb / "loose_crop" / "1.jpg").write_bytes(b"text")
    with pytest.raises(UserError, match=r"1.jpg cannot be decoded"):
        got.face(0)


NAMES = {
    "tid": "ijbc_face_tid_mid.txt",
    "pair": "ijbc_template_pair_label.txt",
    "pts": "ijbc_name_5pts_score.txt",
}


@pytest.mark.parametrize(
    ("which", "text", "sentence"),
    [
        (
            "tid",
            "1.jpg 1\n",
            r"tid_mid.txt, line 1: expected a name and 2 numbers, found '1.jpg 1'",
        ),
        ("tid", "1.jpg 1 x\n", r"tid_mid.txt holds something that is no number, or nothing; copy"),
        ("tid", "", r"tid_mid.txt holds something that is no number, or nothing"),
        ("tid", "2.jpg 1 1\n", r"do not name the same images in the same order \(1 and 3\); copy"),
        ("tid", None, r"meta holds 0 files \*_face_tid_mid.txt, expected one; name the folder"),
        ("pts", "1.jpg 1 2\n", r"5pts_score.txt, line 1: expected a name and 11 numbers"),
        ("pts", None, r"5pts_score.txt cannot be read \(No such file .+; copy the folder meta"),
        ("pair", "1 7\n", "expected two templates and 0 or 1 in each of its 1 lines; copy"),
        ("pair", "1 7 x\n", "expected two templates and 0 or 1 in each of its 1 lines"),
        ("pair", "1 8 0\n", r"names a template without images \(8\) or a label that is neither"),
        ("pair", "1 7 2\n", r"names a template without images \(none\) or a label that is neither"),
        ("pair", b"\xff", r"cannot be read \(not UTF-8 text\)"),
    ],
)
def test_lists_that_are_wrong_are_refused(ijb, which, text, sentence):
    path = ijb / "meta" / NAMES[which]
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=sentence):
        read_ijb(ijb)


def test_a_folder_without_images_is_refused(ijb):
    for path in (ijb / "loose_crop").iterdir():
        path.unlink()
    (ijb / "loose_crop").rmdir()
    with pytest.raises(UserError, match="has no folder loose_crop; unpack the images there"):
        read_ijb(ijb)

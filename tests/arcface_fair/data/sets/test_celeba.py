# SPDX-License-Identifier: MIT
from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE
from arcface_fair.data.sets.bins import load_bin
from arcface_fair.data.sets.celeba import celeba_sets
from arcface_fair.data.sets.pair_sets import build_set
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face

PEOPLE, SHOTS = 60, 5


@pytest.fixture
def celeba(tmp_path):
    """60 people of 5 images; person p is Male where p is even, Bald images are rare."""
    for name in ("Anno", "Eval", "Img/img_align_celeba"):
        (tmp_path / name).mkdir(parents=True)
    points = " ".join(str(round(n)) for n in (TEMPLATE + [30, 50]).ravel())  # noqa: RUF005
    people, splits, marks, attributes = [], [], [], []
    for n in range(PEOPLE * SHOTS):
        file, person = f"{n + 1:06d}.jpg", n // SHOTS
        people.append(f"{file} {person + 100}")
        splits.append(f"{file} {0 if person >= 50 else 1 + person % 2}")
        marks.append(f"{file} {points}")
        attributes.append(f"{file}  {1 if person % 2 == 0 else -1} {1 if n == 0 else -1}")
    head = [str(len(marks)), "lefteye_x lefteye_y righteye_x righteye_y nose_x"]
    texts = {
        "Anno/identity_CelebA.txt": people,
        "Eval/list_eval_partition.txt": splits,
        "Anno/list_landmarks_align_celeba.txt": head + marks,
        "Anno/list_attr_celeba.txt": [head[0], "Male Bald", *attributes],
    }
    for name, lines in texts.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_pairs_share_the_attribute_and_come_from_validation_and_test(celeba):
    sets = {one.name: one for one in celeba_sets(celeba, ["Male"], pairs=40)}
    assert list(sets) == ["celeba_male", "celeba_not_male"]
    for name, one in sets.items():
        numbers = [
            (int(a.stem) - 1, int(b.stem) - 1) for a, b in zip(one.left, one.right, strict=True)
        ]
        persons = np.array(numbers) // SHOTS
        assert (persons < 50).all()
        assert (persons % 2 == (name == "celeba_not_male")).all()
        assert ((persons[:, 0] == persons[:, 1]) == one.same).all()
        assert len(numbers) == 40


def test_a_set_is_as_large_as_can_be_or_left_out(celeba):
    sets = {one.name: len(one.same) for one in celeba_sets(celeba)}
    assert sets == {"celeba_male": 400, "celeba_not_male": 400, "celeba_not_bald": 920}


def test_a_set_does_not_depend_on_which_others_are_asked_for(celeba):
    alone = celeba_sets(celeba, ["Male"], pairs=60)[1]
    among = celeba_sets(celeba, ["Bald", "Male"], pairs=60)[2]
    assert (alone.name, alone.left, alone.right) == (among.name, among.left, among.right)
    assert celeba_sets(celeba, ["Male"], pairs=60, seed=1)[1].left != alone.left


def test_images_are_aligned_by_their_landmarks(celeba, tmp_path):
    one = celeba_sets(celeba, ["Male"], pairs=20)[0]
    large = cv2.copyMakeBorder(face(0)[..., ::-1], 50, 50, 30, 30, cv2.BORDER_CONSTANT)
    for file in {*one.left, *one.right}:
        file.write_bytes(cv2.imencode(".jpg", large)[1].tobytes())
    built = build_set(one, tmp_path / "out")
    assert built.residual < 1
    assert load_bin(built.path)[1].sum() == 10


@pytest.mark.parametrize("name", ["identity_CelebA.txt", "list_attr_celeba.txt"])
def test_a_missing_file_is_named(celeba, name):
    (celeba / "Anno" / name).unlink()
    with pytest.raises(
        UserError, match=rf"does not hold CelebA's {name} \(nor do its folders Anno"
    ):
        celeba_sets(celeba)


def test_an_unknown_attribute_lists_the_known(celeba):
    with pytest.raises(
        UserError, match="CelebA has no attribute 'Mail'; it has Male, Bald: name so"
    ):
        celeba_sets(celeba, ["Mail"])


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("identity_CelebA.txt", "000001.jpg 1\n000002.jpg\n", r"txt, line 2: expected 2 columns"),
        ("identity_CelebA.txt", "", r"txt, line 1: expected 2 columns; download the file again"),
        ("identity_CelebA.txt", "x.jpg 1\n", "000001.jpg of list_eval_partition.txt has no ident"),
        ("list_attr_celeba.txt", "1\nMale\n1.jpg 1 1\n", "line 3: expected an image and 1 times 1"),
        ("list_attr_celeba.txt", "1\nMale\n1.jpg yes\n", "line 3: expected an image and 1 times 1"),
        ("list_attr_celeba.txt", "1\nMale\n", r"list_attr_celeba.txt names no image; download the"),
    ],
)
def test_a_wrong_file_is_named(celeba, name, text, sentence):
    (celeba / "Anno" / name).write_text(text)
    with pytest.raises(UserError, match=sentence):
        celeba_sets(celeba)

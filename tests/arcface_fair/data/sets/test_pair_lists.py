# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import encode
from arcface_fair.data.sets.pair_sets import digiface_set, listed_sets
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def listed(tmp_path, text, images=None):
    (tmp_path / "my pairs.csv").write_text(text)
    return listed_sets(tmp_path / "my pairs.csv", images, Crop())


def test_every_group_is_a_set_in_the_lists_order(tmp_path):
    text = "left,right,same,group\na.jpg,b.jpg,1,East\nc.jpg,d.jpg,FALSE,West\nb.jpg,c.jpg,0,East\n"
    east, west = listed(tmp_path, text, tmp_path / "img")
    assert (east.name, west.name) == ("East_test", "West_test")
    assert east.left == [tmp_path / "img/a.jpg", tmp_path / "img/b.jpg"]
    assert east.same == [True, False]
    assert west.right == [tmp_path / "img/d.jpg"]


def test_without_groups_there_is_one_set_named_like_the_list(tmp_path):
    (one,) = listed(tmp_path, "same\tleft\tright\ndifferent\ta.jpg\tb c.jpg\n")
    assert one.name == "my pairs"
    assert one.right == [tmp_path / "b c.jpg"]
    assert one.same == [False]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("left,right\n", "line 1: the header is left, right; expected different names, among them"),
        ("left,right,same\na,b,2\n", "line 2: expected two images and 1 or 0 for same, found 'a'"),
        ("left,right,same\na,,1\n", "line 2: expected two images and 1 or 0 for same"),
        ("left,right,same\n", "names no pair; write one a line under the header"),
        ("left,right,same,group\na,b,1,x/y\n", "line 2: group is 'x/y'; it becomes a file's name"),
        ("left,right,same,group\na,b,1,\n", "line 2: group is ''; it becomes a file's name, use"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        listed(tmp_path, text)


@pytest.mark.parametrize("prefix", ["", "subjects_0-1999_72_imgs/"])
def test_digiface_is_its_first_identities_by_number(tmp_path, prefix):
    for person in range(22):
        for n in range(3):
            path = tmp_path / f"{prefix}{person}" / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(face(0), quality=None))
    one = digiface_set(tmp_path, Crop(), identities=20, pairs=40)
    assert one.name == "digiface"
    persons = {int(path.parent.name) for path in (*one.left, *one.right)}
    assert persons <= set(range(20))
    assert len(persons) == 20
    assert all((a.parent == b.parent) == s for a, b, s in zip(one.left, one.right, one.same))  # noqa: B905
    with pytest.raises(
        UserError, match=r"holds 22 numbered folders, 30 identities are wanted; unpa"
    ):
        digiface_set(tmp_path, Crop(), identities=30)
    with pytest.raises(
        UserError, match=r"6000 pairs are asked of .+ can make 120; ask for a multip"
    ):
        digiface_set(tmp_path, Crop(), identities=20)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent does not exist; name the folder with DigiFace's"):
        digiface_set(tmp_path / "absent", Crop())

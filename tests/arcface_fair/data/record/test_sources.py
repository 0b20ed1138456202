# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.data.record.sources import Person, open_source, settle_duplicates
from arcface_fair.errors import UserError


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def told(people):
    return [(p.name, p.attributes, [path.name for path in p.images()]) for p in people]


def test_one_level_is_identities_in_the_order_of_names(tmp_path):
    fill(tmp_path, ["b c/2.jpg", "b c/10.PNG", "\u00e9/1.jpg", "a/1.jpg", "a/notes.txt", "x.csv"])
    (tmp_path / ".cache").mkdir()
    assert told(open_source(tmp_path)) == [
        ("a", {}, ["1.jpg"]),
        ("b c", {}, ["10.PNG", "2.jpg"]),
        ("\u00e9", {}, ["1.jpg"]),
    ]


def test_two_levels_are_groups_of_identities(tmp_path):
    fill(tmp_path, ["Asian/m.2/1.jpg", "African/m.1/1.jpg", "African/m.0/1.jpg"])
    (tmp_path / "African/m.3").mkdir()  # empty: whoever packs decides
    assert told(open_source(tmp_path, "ethnicity")) == [
        ("m.0", {"ethnicity": "African"}, ["1.jpg"]),
        ("m.1", {"ethnicity": "African"}, ["1.jpg"]),
        ("m.3", {"ethnicity": "African"}, []),
        ("m.2", {"ethnicity": "Asian"}, ["1.jpg"]),
    ]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["x.jpg"], "has no sub-folders; put each identity's images in a sub-folder of its own"),
        (["a/1.jpg", "a/b/1.jpg"], r"a holds both images \(1.jpg\) and folders \(b\); expected id"),
        (["a/1.jpg", "b/c/1.jpg"], r"holds identities \(a\) beside groups of identities \(b\)"),
    ],
)
def test_folders_that_are_neither_are_refused(tmp_path, files, sentence):
    fill(tmp_path, files)
    with pytest.raises(UserError, match=sentence):
        open_source(tmp_path)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"absent does not exist; give a folder of images or a list"
    ):
        open_source(tmp_path / "absent")


def listed(tmp_path, text):
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    return open_source(tmp_path / "list.csv")


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_list_gathers_identities_and_their_attributes(tmp_path, separator):
    rows = ["path,identity,race", "x/1.jpg,Zo\u00eb K,a", "x/2.jpg,Al,b", "y 3.jpg,Zo\u00eb K,", ""]
    people = listed(tmp_path, "\n".join(rows).replace(",", separator))
    assert told(people) == [
        ("Al", {"race": "b"}, ["2.jpg"]),
        ("Zo\u00eb K", {"race": "a"}, ["1.jpg", "y 3.jpg"]),
    ]
    assert people[0].images() == [tmp_path / "x/2.jpg"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the header is empty; expected different names, among them path, identity"),
        ("path,id\n", "line 1: the header is path, id; expected different names, among them path"),
        ("path,identity,path\n", "line 1: the header is path, identity, path; expected different"),
        ("path,identity\n", "list .+ names no image; write one a line under the header"),
        ("path,identity\na.jpg\n", "line 2: 1 cells but the header has 2 columns; quote a cell"),
        ("path,identity\na.jpg,\n", "line 2: path or identity is empty; fill it in"),
        ("path,identity\na.jpg,A\na.jpg,B\n", "line 3: a.jpg stands in line 2 already; name each"),
        ("path,identity,race\na.jpg,A,x\nb.jpg,A,y\n", r"A has several values of race \(x, y\)"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        listed(tmp_path, text)


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"list .+ cannot be read \(.+\); give a UTF-8 text table"):
        open_source(tmp_path / "list.csv")


def test_people_of_one_name_are_refused_kept_apart_or_dropped(tmp_path):
    people = [
        Person("Rene\u0301", {}, tmp_path / "A" / "Rene\u0301"),
        Person("Bo", {}, tmp_path / "A" / "Bo"),
        Person("Ren\u00e9", {}, tmp_path / "B" / "Ren\u00e9"),
    ]
    sentence = r"occurs 2 times \(.+A/Ren.+, .+B/Ren.+; 2 folders share names in all\); merge them"
    with pytest.raises(UserError, match=sentence):
        settle_duplicates(people, "refuse")
    apart = settle_duplicates(people, "separate")
    assert [p.name for p in apart] == ["A/Rene\u0301", "Bo", "B/Ren\u00e9"]
    assert [p.name for p in settle_duplicates(people, "drop")] == ["Bo"]
    assert settle_duplicates(people[:2], "refuse") == people[:2]

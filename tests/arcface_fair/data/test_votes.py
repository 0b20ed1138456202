# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable, join, rename, vote, write_shares
from arcface_fair.errors import UserError


def voted(tmp_path, text, **settings):
    (tmp_path / "labels.csv").write_text(text)
    return vote(tmp_path / "labels.csv", 3, **settings)


def test_the_word_of_most_images_wins_and_the_share_is_told(tmp_path):
    rows = ["0,a,f", "0,a,", "0,b,f", "1,a,m", "1,b,m", "0,a,m"]
    table, shares, images = voted(tmp_path, "identity,race,sex\n" + "\n".join(rows))
    assert table["race"].words() == ["a", "", ""]  # 3 of 4, a tie, no label
    assert table["sex"].words() == ["f", "m", ""]
    np.testing.assert_allclose(shares["race"], [0.75, 0.5, np.nan])
    np.testing.assert_allclose(shares["sex"], [2 / 3, 1, np.nan])
    assert images.tolist() == [4, 2, 0]
    write_shares(tmp_path / "s.tsv", table, shares, images)
    assert (tmp_path / "s.tsv").read_text() == (
        "identity\timages\trace\trace_share\tsex\tsex_share\n"
        "0\t4\ta\t0.7500\tf\t0.6667\n1\t2\t\t0.5000\tm\t1.0000\n2\t0\t\t\t\t\n"
    )


def test_a_small_majority_can_be_refused(tmp_path):
    text = "identity,race\n0,a\n0,a\n0,b\n1,a\n"
    assert voted(tmp_path, text, min_share=0.7)[0]["race"].words() == ["", "a", ""]
    text = "identity,race\n0,a\n0,a\n0,b\n0,c\n0,d\n"
    assert voted(tmp_path, text)[0]["race"].words() == ["", "", ""]
    for share in (0, 1.5):
        with pytest.raises(UserError, match="the share must be above 0 and at most 1, got"):
            voted(tmp_path, text, min_share=share)


@pytest.mark.parametrize(
    "text",
    [
        "name,race\nBo,a\nZo\u00eb,b\n",
        "path,race\nx/Bo/1.jpg,a\nx/Zoe\u0308/1.jpg,b\n",
        "key,race\n7,a\n9,b\n",
    ],
)
def test_identities_are_told_by_name_path_or_key(tmp_path, text):
    names = ["Al", "Bo", "Zo\u00eb"]
    table, *_ = voted(tmp_path, text, class_names=names, identities={7: 1, 9: 2})
    assert table["race"].words() == ["", "a", "b"]
    assert table.class_names == tuple(names)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("race\na\n", "line 1: expected one column of identity, name, key, path, and attributes"),
        ("identity\n1\n", "line 1: expected one column of identity, name, key, path, and attribu"),
        ("identity,race\n3,a\n", "line 2: identity '3' is none of the record's 3 classes; correct"),
        ("identity,race\n-1,a\n", "line 2: identity '-1' is none of the record's 3 classes"),
        ("name,race\nAl,a\n", "line 2: name 'Al' is none of the record's 3 classes"),
        ("key,race\n5,a\n", "line 2: key '5' is none of the record's 3 classes"),
        ("identity,race\n0,\n", "labels no image; write a word under an attribute"),
    ],
)
def test_wrong_labels_are_refused_with_their_line(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        voted(tmp_path, text)


def test_tables_are_joined_and_fill_each_other(tmp_path):
    first = GroupTable.of_words({"race": ["a", "", ""]}, ["x", "y", "z"])
    second = GroupTable.of_words({"sex": ["f", "m", ""], "race": ["a", "b", ""]})
    table = join([first, second])
    assert table["race"].words() == ["a", "b", ""]
    assert table["sex"].words() == ["f", "m", ""]
    assert table.class_names == ("x", "y", "z")


def test_tables_that_contradict_each_other_are_refused():
    first, second = (GroupTable.of_words({"race": ["a", word]}) for word in "bc")
    with pytest.raises(UserError, match=r"identity 1 is 'b' in one table and 'c' in another \(col"):
        join([first, second])


def test_groups_are_merged_by_renaming_a_word():
    table = GroupTable.of_words({"race": ["a", "b", "c"], "sex": ["f", "f", ""]})
    merged = rename(rename(table, "race", {"b": "a"}), "race", {"c": ""})
    assert merged["race"].words() == ["a", "a", ""]
    assert merged["sex"].words() == ["f", "f", ""]
    with pytest.raises(UserError, match="race has no word 'x'; it has a, b, c: name one of these"):
        rename(table, "race", {"x": "a"})

# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.errors import UserError


def table(tmp_path, text, num_classes=3):
    path = tmp_path / "groups.tsv"
    path.write_text(text)
    return GroupTable.read(path, num_classes)


def test_codes_follow_the_class_not_the_line(tmp_path):
    got = table(tmp_path, "identity\tname\trace\tsex\n2\tC\tAsian\t\n0\tA\tIndian\tf\n1\tB\t\tm\n")
    assert got.class_names == ("A", "B", "C")
    assert list(got.attributes) == ["race", "sex"]
    race = got["race"]
    assert race.names == ("Asian", "Indian")
    assert race.codes.dtype == np.int64
    assert race.codes.tolist() == [1, -1, 0]
    assert got["sex"].codes.tolist() == [0, 1, -1]


def test_columns_in_any_order_windows_line_ends_and_a_byte_order_mark(tmp_path):
    got = table(tmp_path, "\ufeffrace\tidentity\r\na\t1\r\nb\t0\r\n", 2)
    assert got["race"].words() == ["b", "a"]


def test_a_written_table_reads_back_the_same(tmp_path):
    words = {"race": ["b", "", "a b"], "sex": ["", "", ""]}
    GroupTable.of_words(words, ["x", "", "z"]).write(tmp_path / "new" / "groups.tsv")
    got = GroupTable.read(tmp_path / "new" / "groups.tsv", 3)
    assert {column: attribute.words() for column, attribute in got.attributes.items()} == words
    assert got.class_names == ("x", "", "z")


def test_a_table_of_codes_can_be_written(tmp_path):
    attribute = Attribute(("part_0", "part_1"), np.array([1, 0, -1]))
    GroupTable({"part": attribute}).write(tmp_path / "stage_1.tsv")
    text = (tmp_path / "stage_1.tsv").read_text()
    assert text == "identity\tpart\n0\tpart_1\n1\tpart_0\n2\t\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the header has no column 'identity'"),
        ("id\trace\n", r"line 1: the header has no column 'identity' \(found id, race\)"),
        ("identity\tname\n", "line 1: there is no attribute column beside identity, name; add"),
        ("identity\trace\trace\n", "line 1: column 'race' is named twice or not at all"),
        ("identity\trace\t\n", "line 1: column '' is named twice or not at all"),
        ("identity\trace\n0\n", "line 2: 1 cells but the header has 2 columns"),
        ("identity\trace\n0\ta\n\n", "line 3: 1 cells but the header has 2 columns"),
        ("identity\trace\n0\ta\n3\tb\n", r"line 3: identity '3' is none of the classes 0\.\.2"),
        ("identity\trace\n-1\ta\n", "line 2: identity '-1' is none of the classes"),
        ("identity\trace\nx\ta\n", "line 2: identity 'x' is none of the classes"),
        ("identity\trace\n0\ta\n0\tb\n", "line 3: identity 0 has a line already; give each"),
        (
            "identity\trace\n0\ta\n2\tb\n",
            r"ends at line 3 without identity 1 \(2 of 3 classes are there\); give every class",
        ),
        ("identity\trace\n0\t1\n", "line 2: race is '1', a number; groups are words"),
        ("identity\trace\n0\t-1.5e3\n", "line 2: race is '-1.5e3', a number; groups are words"),
        ("identity\trace\n0\tnan\n", "line 2: race is 'nan', a number; groups are words"),
    ],
)
def test_a_wrong_table_is_refused_by_line(tmp_path, text, sentence):
    with pytest.raises(UserError, match=r"groups.tsv.* " + sentence):
        table(tmp_path, text)


def test_a_missing_table_and_one_that_is_no_text_are_named(tmp_path):
    with pytest.raises(UserError, match=r"group table .+ cannot be read \(No such file"):
        GroupTable.read(tmp_path / "groups.tsv", 3)
    (tmp_path / "groups.tsv").write_bytes(b"identity\trace\n0\t\xff\n")
    with pytest.raises(UserError, match="is not UTF-8 text; save it as UTF-8"):
        GroupTable.read(tmp_path / "groups.tsv", 3)


def test_an_attribute_that_is_not_there_lists_those_that_are():
    with pytest.raises(UserError, match="no attribute 'age'; it has race, sex: name one of"):
        GroupTable.of_words({"race": ["a"], "sex": [""]})["age"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"race": ["a", "2"]}, "line 3: race is '2', a number"),
        ({"race": ["a\tb"]}, "line 2: 3 cells but the header has 2 columns"),
        ({"race": ["a\nb"]}, "line 2: a cell holds a line break; write words without one"),
        ({"race\t": ["a"]}, "column '' is named twice or not at all"),
        ({}, "there is no attribute column beside identity"),
    ],
)
def test_what_would_be_refused_is_not_written(tmp_path, words, sentence):
    with pytest.raises(UserError, match=sentence):
        GroupTable.of_words(words).write(tmp_path / "groups.tsv")
    assert list(tmp_path.iterdir()) == []

# SPDX-License-Identifier: MIT
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from arcface_fair.errors import UserError
from arcface_fair.plugin.settings import (
    check_choice,
    check_range,
    describe,
    parse_block,
    parse_text,
)


@dataclass(frozen=True)
class Example:
    weight: float = 1.0
    steps: tuple = ()
    count: int | tuple = 2
    name: str | None = None
    on: bool = False


def test_values_arrive_and_plain_types_are_adapted():
    made = parse_block(Example, {"weight": 2, "steps": [1, 2], "name": None, "on": True}, "demo")
    assert made == Example(weight=2.0, steps=(1, 2), name=None, on=True)
    assert isinstance(made.weight, float)


def test_a_misspelt_key_lists_the_known_ones_and_suggests():
    with pytest.raises(UserError) as caught:
        parse_block(Example, {"wieght": 1}, "demo")
    assert str(caught.value) == (
        "config.demo has no setting 'wieght'; known: count, name, on, steps, weight. "
        "did you mean 'weight'?"
    )


def test_an_unrelated_key_is_refused_too():
    with pytest.raises(UserError, match=r"has no setting 'zzz'; known: .* correct or remove it\."):
        parse_block(Example, {"zzz": 1}, "demo")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"weight": "a"}, "demo.weight is 'a', expected float; correct the value"),
        ({"weight": True}, "demo.weight is True, expected float; correct the value"),
        ({"name": 3}, "demo.name is 3, expected None or str; correct the value"),
        ({"count": 1.5}, "demo.count is 1.5, expected int or tuple; correct the value"),
        ({"on": 1}, "demo.on is 1, expected bool; correct the value"),
    ],
)
def test_a_value_of_another_type_is_refused(block, message):
    with pytest.raises(UserError) as caught:
        parse_block(Example, block, "demo")
    assert str(caught.value) == message


def test_a_block_that_is_no_dict_is_refused():
    with pytest.raises(UserError, match=r"config.demo is 3, expected a dict .* = dict\(\.\.\.\)"):
        parse_block(Example, 3, "demo")


def test_ranges_and_choices_name_the_setting():
    check_range("a.b", 0, 0)
    check_range("a.b", 1, 0, 1, open_low=True)
    check_choice("a.b", "x", ("x", "y"))
    with pytest.raises(UserError, match=r"a.b is -1, expected at least 0; correct the value"):
        check_range("a.b", -1, 0)
    with pytest.raises(UserError, match=r"a.b is 0, expected above 0 and at most 1; correct"):
        check_range("a.b", 0, 0, 1, open_low=True)
    with pytest.raises(UserError, match=r"a.b is 'z', expected one of x, y; choose one"):
        check_choice("a.b", "z", ("x", "y"))


@dataclass(frozen=True)
class Typed:
    count: int = 1
    weight: float | None = None
    on: bool = False
    name: str | None = None
    label: str = ""
    steps: tuple = ()
    each: int | tuple = 2
    source: str | tuple = "a"
    anything: Any = None
    block: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "3", 3),
        ("weight", "5e-4", 5e-4),
        ("weight", "2", 2.0),
        ("weight", "None", None),
        ("on", "True", True),
        ("on", "false", False),
        ("name", "None", None),
        ("name", "3", "3"),
        ("label", "None", "None"),
        ("label", "3", "3"),
        ("label", "a=b, c", "a=b, c"),
        ("steps", "1", (1,)),
        ("steps", "9.7, 16.7", (9.7, 16.7)),
        ("steps", "(1, 2)", (1, 2)),
        ("steps", "[1, 2]", (1, 2)),
        ("steps", "", ()),
        ("steps", "one_plugin", ("one_plugin",)),
        ("steps", "one_plugin,two_plugin", ("one_plugin", "two_plugin")),
        ("each", "3", 3),
        ("each", "3,4", (3, 4)),
        ("source", "shuffled", "shuffled"),
        ("source", "3", "3"),
        ("source", "table,learned", ("table", "learned")),
        ("anything", "1.5", 1.5),
        ("anything", "word", "word"),
        ("block", "{'gate': 0}", {"gate": 0}),
    ],
)
def test_a_text_of_the_command_line_becomes_the_fields_type(key, text, value):
    made = parse_text(Typed, key, text, f"--set demo.{key}")
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("count", "many", "--set demo.count is 'many', expected int; correct the value"),
        ("count", "1.0", "--set demo.count is 1.0, expected int; correct the value"),
        ("count", "True", "--set demo.count is True, expected int; correct the value"),
        ("weight", "big", "--set demo.weight is 'big', expected None or float; correct the value"),
        ("each", "x", "--set demo.each is 'x', expected int or tuple; correct the value"),
        ("on", "yes", "--set demo.on is 'yes', expected bool; correct the value"),
        ("on", "1", "--set demo.on is 1, expected bool; correct the value"),
        ("block", "gate", "--set demo.block is 'gate', expected dict; correct the value"),
    ],
)
def test_a_text_of_another_type_is_refused(key, text, message):
    with pytest.raises(UserError) as caught:
        parse_text(Typed, key, text, f"--set demo.{key}")
    assert str(caught.value) == message


def test_a_range_refuses_what_is_no_number():
    with pytest.raises(UserError, match=r"^a\.b is 'x', expected a number; correct the value$"):
        check_range("a.b", "x", 0)


@dataclass(frozen=True)
class Commented:
    # A heading of the part.
    first: int  # behind wins over above
    # above, where
    # nothing is behind
    second: tuple = (1, 2)

    third: Literal["a", "b"] = "a"
    fourth: dict = field(
        default_factory=dict,
    )  # behind the last line


@dataclass(frozen=True)
class Inherited(Commented):
    third: Literal["a", "b"] = "b"  # said by the heir
    fifth: str | None = None  # with a # in it


def test_a_field_is_described_by_its_comment():
    found = [(d.key, d.type, d.default, d.meaning) for d in describe(Commented)]
    assert found == [
        ("first", "int", "required", "behind wins over above"),
        ("second", "tuple", "(1, 2)", "above, where nothing is behind"),
        ("third", "a | b", "'a'", ""),
        ("fourth", "dict", "{}", "behind the last line"),
    ]


def test_inherited_fields_keep_their_meaning():
    found = {d.key: d.meaning for d in describe(Inherited)}
    assert found["first"] == "behind wins over above"
    assert (found["third"], found["fifth"]) == ("said by the heir", "with a # in it")


def test_a_class_without_source_has_no_meanings():
    from dataclasses import make_dataclass

    (found,) = describe(make_dataclass("Made", [("key", int, 3)]))
    assert (found.key, found.type, found.default, found.meaning) == ("key", "int", "3", "")

# SPDX-License-Identifier: MIT
"""Opening: test people are met by settings chosen before, or it shows."""

import pytest

from arcface_fair.errors import UserError
from studies.ledger import (
    check_seeds,
    enter_tests,
    merged_ledgers,
    without_unfinished,
)


def test_first_opening_writes_the_settings_down():
    found = enter_tests({}, {"contrast": "aa"})
    assert found["contrast"]["digest"] == "aa"
    assert found["contrast"]["again"] == []


def test_same_settings_may_go_on():
    opened = enter_tests({}, {"contrast": "aa"})
    assert (
        enter_tests(opened, {"contrast": "aa", "arcface": "bb"})["contrast"] == opened["contrast"]
    )


def test_other_settings_are_refused_in_one_sentence():
    opened = {"contrast": {"digest": "aa", "date": "2026-11-22T01:00:00", "again": []}}
    with pytest.raises(
        UserError,
        match=r"test identities were evaluated for 'contrast' on 2026-11-22 with other settings; "
        r"choose settings on --split validation, or evaluate again with --reopen",
    ):
        enter_tests(opened, {"contrast": "bb"})


def test_opening_again_is_kept():
    opened = {"contrast": {"digest": "aa", "date": "2026-11-22", "again": []}}
    found = enter_tests(opened, {"contrast": "bb"}, reopen=True)["contrast"]
    assert found["digest"] == "bb"
    assert [entry["digest"] for entry in found["again"]] == ["aa"]
    assert opened["contrast"]["again"] == []


def test_row_whose_test_runs_all_failed_is_not_opened():
    opened = {
        "a": {"digest": "aa", "date": "d", "again": []},
        "b": {"digest": "bb", "date": "d", "again": []},
    }
    assert list(without_unfinished(opened, {"aa"}, {"a", "b"})) == ["a"]


def test_row_that_another_command_may_be_testing_stays_opened():
    opened = {"b": {"digest": "bb", "date": "d", "again": []}}
    assert without_unfinished(opened, set(), {"a"}) == opened


def test_reopened_row_stays_reopened_whatever_was_removed():
    opened = {"a": {"digest": "cc", "date": "d", "again": [{"digest": "aa", "date": "d"}]}}
    assert without_unfinished(opened, set(), {"a"}) == opened


def test_merging_keeps_the_entry_opened_more_often():
    once = {"a": {"digest": "x", "date": "d", "again": []}}
    twice = {"a": {"digest": "y", "date": "d", "again": [{}]}, "b": once["a"]}
    assert merged_ledgers(once, twice) == twice
    assert merged_ledgers(twice, once) == twice


@pytest.mark.parametrize(
    ("split", "seeds", "said"),
    [
        ("test", [], r"no seeds were given; name at least one"),
        ("test", [20, 20], r"a seed is given twice in 20, 20; name each once"),
        ("test", [-1], r"seed -1 is negative; seeds are whole numbers from 0"),
        ("test", [0, 20], r"seed 0 belongs to the validation people, and test asks for it; name"),
        ("validation", [10, 11], r"seed 10, 11 belongs to the test people, and validation asks"),
    ],
)
def test_seeds_that_would_mix_people_are_refused(split, seeds, said):
    with pytest.raises(UserError, match=said):
        check_seeds(split, seeds)


def test_seeds_of_finished_runs_count_too():
    check_seeds("test", [20])
    with pytest.raises(UserError, match="seed 20 belongs to the validation people"):
        check_seeds("test", [20], {"validation": [20]})

# SPDX-License-Identifier: MIT
"""Suites: the tables asked for are there, each with a title for the page."""

from drawn_faces import WORLDS
from studies.suites import TITLES, all_rows, suites


def test_main_worlds_and_the_papers_tables_are_there():
    assert {"main", "worlds", "table3", "table4", "table8", "table9", "figure6", "linv"} <= set(
        suites()
    )


def test_every_suite_has_a_title():
    assert set(suites()) == set(TITLES)


def test_every_harder_world_has_its_rows():
    harder = set(WORLDS) - {"confounded", "control"}
    assert harder == {row.world for row in suites()["worlds"]} - {f"{w}:control" for w in harder}


def test_names_are_plain():
    assert all(name.isidentifier() for name in all_rows())

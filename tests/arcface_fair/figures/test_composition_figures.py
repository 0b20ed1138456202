# SPDX-License-Identifier: MIT
"""Figures are drawn and show what they are given; how they look, people judged."""

import dataclasses

import cv2
import numpy as np
import pytest

from arcface_fair.data.groups import Attribute
from arcface_fair.figures import open_run
from arcface_fair.figures.composition_figures import (
    SUBSET_COLOURS,
    colours,
    draw_composition,
    draw_follows,
    draw_shares,
)


def share_of_colour(path, colour: str) -> float:
    picture = cv2.imread(str(path))[:, :, ::-1]
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return float((picture == wanted).all(2).mean())


@pytest.fixture
def run(partitioned_run):
    return open_run(partitioned_run)


def test_more_identities_in_a_subset_are_more_of_its_colour(run, tmp_path):
    few, many = (Attribute(("a", "b"), (np.arange(8) < n).astype(np.int64)) for n in (1, 5))
    stages = [dataclasses.replace(run.stages[0], subset=subset) for subset in (few, many)]
    found = [
        share_of_colour(
            draw_composition(dataclasses.replace(run, stages=[stage]), tmp_path / "c.png"),
            SUBSET_COLOURS[1],
        )
        for stage in stages
    ]
    assert found[1] > 2 * found[0] > 0


def test_every_stage_and_column_has_its_panels(run, tmp_path):
    one = cv2.imread(str(draw_composition(run, tmp_path / "one.png")))
    both = dataclasses.replace(run, groups=run.attributes, stages=run.stages[:1])
    other = cv2.imread(str(draw_composition(both, tmp_path / "two.png")))
    assert other.shape[0] == 2 * one.shape[0]
    assert other.shape[1] < one.shape[1]


def test_without_groups_earlier_stages_are_laid_beside_the_newest(run, tmp_path):
    newest = {"group": run.stages[1].subset, "group_name": "stage 2 subset", "grouped": False}
    bare = dataclasses.replace(run, groups={}, attributes={}, **newest)
    two = draw_composition(run, tmp_path / "two.png")
    one = draw_composition(bare, tmp_path / "one.png")
    assert cv2.imread(str(one)).shape[1] < cv2.imread(str(two)).shape[1]
    single = dataclasses.replace(bare, stages=run.stages[1:])
    assert draw_composition(single, tmp_path / "none.png") is None


def test_what_follows_and_shares_need_attributes(run, tmp_path):
    assert draw_follows(run, tmp_path / "f.png").stat().st_size > 5000
    assert draw_shares(run, tmp_path / "s.png").stat().st_size > 5000
    bare = dataclasses.replace(run, groups={}, attributes={})
    assert draw_follows(bare, tmp_path / "none.png") is None
    assert draw_shares(bare, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_colours_are_distinct_for_many_values():
    assert len({str(colour) for colour in colours(12)}) == 12
    assert colours(2, SUBSET_COLOURS) == list(SUBSET_COLOURS[:2])

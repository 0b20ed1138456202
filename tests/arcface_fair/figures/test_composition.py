# SPDX-License-Identifier: MIT
"""What subsets consist of, as numbers and as plots."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from arcface_fair.data.groups import Attribute
from arcface_fair.figures import Stage, open_run
from arcface_fair.figures.composition import (
    SUBSET_COLOURS,
    colours,
    cross_table,
    draw_composition,
    draw_follows,
    draw_shares,
    follows,
    shares,
    summarise,
)

SUBSET = Attribute(("a", "b"), np.array([0, 0, 1, 1, -1, 1]))
GROUP = Attribute(("x", "y", "z"), np.array([0, 1, 1, 1, 0, -1]))


def test_the_cross_table_counts_identities_known_on_both_sides():
    assert cross_table(SUBSET, GROUP).tolist() == [[1, 1, 0], [0, 2, 0]]


def test_shares_count_identities_or_their_images_and_leave_the_unknown_out():
    assert shares(GROUP) == {"x": 0.4, "y": 0.6, "z": 0.0}
    assert shares(GROUP, np.array([6, 1, 1, 1, 1, 9])) == {"x": 0.7, "y": 0.3, "z": 0.0}


def test_the_attribute_that_a_partition_follows_comes_first_and_above_chance():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 2, 200)
    noisy = np.where(generator.random(200) < 0.1, 1 - codes, codes)
    stage = Stage(1, Attribute(("a", "b"), codes), np.ones(200, np.float32))
    found = follows(
        stage,
        {
            "unrelated": Attribute(("u", "v"), generator.integers(0, 2, 200)),
            "followed": Attribute(("v", "w"), noisy),
        },
    )
    assert list(found) == ["followed", "unrelated"]
    assert found["followed"]["nmi"] > 5 * found["followed"]["chance"]
    assert found["followed"]["best_match_accuracy"] == pytest.approx((codes == noisy).mean())


def test_the_summary_of_a_run_is_plain_json(partitioned_run):
    summary = summarise(open_run(partitioned_run))
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["identities"], summary["images"]) == (8, 48)
    assert summary["identities_with_one_image"] == 0
    assert summary["shares"]["race"]["images"]["x"] == pytest.approx(3 / 7)
    second = summary["stages"]["2"]
    assert second["sizes"] == {"a": 4, "b": 4}
    assert set(second["earlier_stages"]["1"]) == {"nmi", "best_match_accuracy"}
    assert sum(sum(row.values()) for row in second["composition"]["race"].values()) == 7


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

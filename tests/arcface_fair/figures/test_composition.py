# SPDX-License-Identifier: MIT
import json

import numpy as np
import pytest

from arcface_fair.data.groups import Attribute
from arcface_fair.figures import Stage, open_run
from arcface_fair.figures.composition import cross_table, follows, shares, summarise

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

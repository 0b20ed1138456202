# SPDX-License-Identifier: MIT
"""Plan: equal settings are one run, other settings another, and people do not mix."""

from dataclasses import replace

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces import WORLDS, World
from studies.plan import (
    SEEDS,
    Run,
    Settings,
    merged,
    named_world,
    resolve,
    runs_of,
    world_settings,
)
from studies.rows import Row
from studies.suites import all_rows
from tests.benchmark_stubs import run_of


def key(row, seed=0, split="validation"):
    return Run(resolve(row), seed, split).key


def test_ceiling_of_a_world_of_the_same_people_is_one_run():
    assert (
        run_of("ceiling", 3).key == run_of("weak_ceiling", 3).key == run_of("none_arcface", 3).key
    )
    assert run_of("ceiling", 3).key == run_of("glasses_ceiling", 3).key


def test_ceiling_of_other_people_is_another_run():
    assert run_of("ceiling", 3).key != run_of("minority_small_ceiling", 3).key


@pytest.mark.parametrize(
    "changed",
    [{"changes": {"margin_scale": 33.0}}, {"world": "weak"}, {"config": "demo_invreg"},
     {"changes": {"network": "small_aa"}}],
)  # fmt: skip
def test_whatever_decides_a_result_changes_the_key(changed):
    assert key(replace(all_rows()["arcface"], **changed)) != key(all_rows()["arcface"])


def test_seed_and_split_change_the_key_and_a_title_does_not():
    row = all_rows()["arcface"]
    keys = {key(row), key(row, 1), key(row, 0, "test")}
    assert len(keys) == 3
    assert key(replace(row, name="other", title="other", note="x")) == key(row)


def test_where_a_run_lies_and_what_it_prints_is_not_in_the_key():
    row = all_rows()["arcface"]
    told = {"changes": {"output": "elsewhere", "verbose": 3, "num_workers": 4}}
    assert key(replace(row, **told)) == key(row)


def test_a_new_key_with_its_default_throws_no_run_away():
    settings = resolve(all_rows()["arcface"])
    assert Settings({**settings.config, "flip": True}, settings.world).digest == settings.digest
    assert Settings({**settings.config, "flip": False}, settings.world).digest != settings.digest


def test_blocks_are_merged_key_by_key_at_any_depth():
    old = {"a": 1, "b": {"c": {"d": 1, "e": 2}, "f": 3}}
    assert merged(old, {"b": {"c": {"d": 9}}}) == {"a": 1, "b": {"c": {"d": 9, "e": 2}, "f": 3}}
    assert old["b"]["c"]["d"] == 1


def test_row_resolves_to_the_config_with_its_changes():
    config = resolve(all_rows()["invreg_random"]).config
    assert config["invreg"] == {"weight": 0.05, "stages": [1, 3, 5], "partition": "random"}


def test_training_validation_and_test_people_are_disjoint():
    run = run_of("arcface", 10)
    other = replace(run, split="validation")
    worlds = [run.world, run.held_out, other.held_out]
    assert [w.split for w in worlds] == ["train", "test", "validation"]
    draws = [w.rng("identity", 0).integers(2**60) for w in worlds]
    assert len(set(draws)) == 3


def test_unseen_people_have_nothing_planted_and_are_the_same_in_every_world_of_a_seed():
    unseen = run_of("arcface", 10).held_out
    assert unseen == run_of("ceiling", 10).held_out == run_of("weak_arcface", 10).held_out
    assert set(unseen.context_keep) == {0.1}
    assert np.array_equal(np.bincount(unseen.group_of()), [80] * 4)


def test_default_seeds_of_the_splits_are_apart_and_the_test_has_five():
    assert not set(SEEDS["validation"]) & set(SEEDS["test"])
    assert len(SEEDS["test"]) >= 5


def test_runs_are_by_row_and_seed():
    found = runs_of([all_rows()["arcface"], all_rows()["ceiling"]], [10, 11], "test")
    assert list(found) == ["arcface", "ceiling"]
    assert [found["ceiling"][11].seed, found["ceiling"][11].split] == [11, "test"]


def test_world_settings_say_what_differs():
    assert world_settings(World(seed=7)) == {}
    assert world_settings(WORLDS["weak"]) == {"context_keep": [0.1, 0.8, 0.8, 0.8]}


def test_unknown_world_is_refused():
    with pytest.raises(UserError, match=r"no world named 'wek'; known: confounded, .*name one"):
        named_world("wek")


def test_unknown_config_is_refused():
    with pytest.raises(UserError, match="no config 'demo_none'"):
        resolve(Row("x", "x", "demo_none"))

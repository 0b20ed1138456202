# SPDX-License-Identifier: MIT
"""The papers' tables: their rows are the papers' values, acceptable to a run."""

from __future__ import annotations

from typing import Any

import pytest

from arcface_fair.config import load_config
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings
from studies.rows import CONTROL
from studies.suites import SWEEPS, all_rows, suites

ROWS = {row.name: row for rows in SWEEPS.values() for row in rows}


def settings_of(config: str, changes: Any) -> list[Any]:
    """What a run with these changes makes of its blocks; UserError where it would refuse them."""
    loaded = load_config(config, {"rec": "faces"})
    for key, value in changes.items():
        nested = isinstance(value, dict) and key in loaded
        loaded[key] = {**loaded[key], **value} if nested else value
    modules = load_plugin_modules(loaded.plugins)
    parse_run(loaded, {module.NAME for module in modules})
    return parse_plugin_settings(modules, loaded)


def blocks(suite: str) -> dict[str, Any]:
    """Each row's one plugin's settings, by row."""
    found = {row.name: settings_of(row.config, row.changes) for row in SWEEPS[suite]}
    return {name: settings[0] for name, settings in found.items() if settings}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_run_accepts_every_row(row):
    settings_of(row.config, row.changes)


def test_a_name_means_one_row_in_every_suite():
    named = [row for rows in suites().values() for row in rows]
    assert all(row == all_rows()[row.name] for row in named)
    assert set(SWEEPS) <= set(suites())


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_is_compared_with_arcface_on_its_own_network_and_people(row):
    rows = all_rows()
    baseline, ceiling = rows[row.baseline], rows[row.ceiling]
    network = row.changes.get("network")
    assert baseline.changes.get("network") == ceiling.changes.get("network") == network
    assert not baseline.changes.get("plugins")
    assert ceiling.world == baseline.world + CONTROL
    assert row.world in (baseline.world, ceiling.world)
    assert row.control_of is None or row.control_of in rows


@pytest.mark.parametrize("suite", SWEEPS)
def test_every_suite_holds_what_its_rows_are_compared_with(suite):
    names = {row.name for row in SWEEPS[suite]}
    for row in SWEEPS[suite]:
        assert {row.baseline, row.ceiling} <= names
        assert row.control_of is None or row.control_of in names


def test_table_3_has_the_papers_thresholds_and_nothing_else_on():
    found = blocks("table3").values()
    assert [s.threshold for s in found] == [0.6, 0.7, 0.75, 0.8]
    assert all((s.erasing, s.adversarial, s.confidence) == ("off", False, True) for s in found)


def test_table_4_has_the_papers_rows_and_rolled_masks():
    parts = {n: (s.erasing, s.confidence, s.adversarial) for n, s in blocks("table4").items()}
    assert parts == {
        "table4_random": ("random", False, False),
        "table3_confidence70": ("off", True, False),
        "table4_ct": ("off", False, True),
        "table4_sfre": ("attention", False, False),
        "table4_rolled": ("rolled", False, False),
        "table4_gabn": ("attention", True, True),
    }


def test_the_rows_of_invreg_vary_one_setting_of_the_papers():
    varied = {
        "table8": ("subsets", [2, 3, 4]),
        "table9": ("stages", [(1,), (1, 3), (1, 3, 5), (1, 2, 3, 5)]),
        "figure6": ("weight", [0.02, 0.05, 0.1, 0.2, 0.8]),
    }
    for suite, (key, values) in varied.items():
        found = blocks(suite)
        control = found.pop("invreg_shuffled")
        assert control.partition == "shuffled"
        assert [getattr(s, key) for s in found.values()] == values
        others = [{**vars(s), key: None} for s in found.values()]
        assert all(other == others[0] for other in others)
        assert (others[0]["objective"], others[0]["penalty"]) == ("paper", "irmv1")


def test_linv_has_either_step_in_either_form():
    found = blocks("linv")
    del found["invreg_shuffled"]
    either = ("irmv1", "rex")
    assert sorted((s.objective, s.penalty) for s in found.values()) == [
        (learning, penalty) for learning in ("irmv1", "paper", "rex") for penalty in either
    ]

# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from arcface_fair.config import load_config
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings
from gabn_plugin import Settings

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("bupt_*.py"))


def settings_of(name: str) -> Settings:
    return Settings(**load_config(name).gabn)


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_is_accepted(name):
    config = load_config(name)
    modules = load_plugin_modules(config.plugins)
    run, _ = parse_run(config, {module.NAME for module in modules})
    parse_plugin_settings(modules, config)
    assert (run.network, run.lr_schedule, run.lr_steps) == ("r34", "step", (9, 15, 20))
    assert run.margin_list == (1.0, 0.35, 0.0)
    assert (run.batch_size, run.num_epoch) == ((250, 40) if "global" in name else (200, 30))


def test_table_3_has_its_thresholds_and_nothing_but_the_confidence_balance():
    found = [settings_of(f"bupt_balanced_r34_gabn_confidence{t}") for t in (60, 70, 75, 80)]
    assert [s.threshold for s in found] == [0.6, 0.7, 0.75, 0.8]
    assert all((s.erasing, s.adversarial, s.confidence) == ("off", False, True) for s in found)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("random", ("random", False, False)),
        ("rolled", ("rolled", False, False)),
        ("confidence70", ("off", False, True)),
        ("ct", ("off", True, False)),
        ("sfre", ("attention", False, False)),
        ("", ("attention", True, True)),
    ],
)
def test_each_row_of_table_4_switches_its_part_on_alone(row, parts):
    settings = settings_of("_".join(["bupt_balanced_r34_gabn", row]).rstrip("_"))
    assert (settings.erasing, settings.adversarial, settings.confidence) == parts

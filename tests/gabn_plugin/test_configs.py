# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from arcface_fair.config import load_config
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("bupt_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_is_accepted(name):
    config = load_config(name)
    modules = load_plugin_modules(config.plugins)
    run, _ = parse_run(config, {module.NAME for module in modules})
    parse_plugin_settings(modules, config)
    assert (run.network, run.lr_schedule, run.lr_steps) == ("r34", "step", (9, 15, 20))
    assert run.margin_list == (1.0, 0.35, 0.0)
    assert (run.batch_size, run.num_epoch) == ((250, 40) if "global" in name else (200, 30))

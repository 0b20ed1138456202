# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.config import load_config, merged
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings
from drawn_faces.commands.demo import CEILING, CONTRAST, EXPORTED, RUNS, folder_name


def settings_of(name):
    config = merged(load_config(RUNS[name].config), RUNS[name].changes)
    modules = load_plugin_modules(config["plugins"])
    parse_run(config, {module.NAME for module in modules})
    return dict(zip(config["plugins"], parse_plugin_settings(modules, config), strict=True))


@pytest.mark.parametrize("name", RUNS)
def test_every_run_of_the_demo_has_settings_that_are_accepted(name):
    settings_of(name)


def test_controls_differ_from_what_they_control_in_one_setting():
    shipped = settings_of(CONTRAST)["contrast_plugin"]
    rolled = settings_of("rolled masks")["contrast_plugin"]
    assert (shipped.control, rolled.control) == ("off", "rolled")
    assert shipped.gate == rolled.gate > 0
    assert settings_of("random partitions")["invreg_plugin"].partition == "random"
    assert RUNS[CEILING].config == RUNS["ArcFace"].config
    assert RUNS[CEILING].faces != RUNS["ArcFace"].faces


def test_names_of_folders_are_plain_and_differ():
    folders = [folder_name(name) for name in RUNS]
    assert len(set(folders)) == len(folders)
    assert all(name.replace("_", "").isalnum() for name in folders)
    assert set(EXPORTED) <= set(RUNS)

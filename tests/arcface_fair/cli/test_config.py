# SPDX-License-Identifier: MIT
"""``arcface-fair config``: every key with its meaning, and docs/config.md, which it prints."""

from dataclasses import fields
from pathlib import Path

import pytest

from arcface_fair.cli import main
from arcface_fair.cli.config import sections
from arcface_fair.hosts.settings import RunSettings
from arcface_fair.plugin.loading import announced_plugins, load_plugin_modules

PAGE = Path(__file__).parents[3] / "docs/config.md"


def test_the_page_is_up_to_date(capsys):
    assert main(["config", "--markdown"]) == 0
    assert PAGE.read_text() == capsys.readouterr().out, (
        "run `arcface-fair config --markdown > docs/config.md`"
    )


def test_every_key_of_the_run_and_of_every_installed_plugin_is_listed(capsys):
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    keys = [field.name for field in fields(RunSettings)]
    for module in load_plugin_modules(announced_plugins()):
        keys += [f"{module.NAME}.{field.name}" for field in fields(module.Settings)]
    assert [line.split(":")[0].strip() for line in shown.splitlines() if "  [" in line] == keys
    assert "  lr: float = 0.1  [both]\n      highest learning rate; not scaled with the" in shown
    assert "  momentum: float = 0.9  [embedded; arcface_torch has 0.9]\n      sgd only\n" in shown
    assert shown.endswith(
        "\nRead by arcface_torch alone, ignored by the embedded trainer: dali, "
        "dali_aug, using_wandb, wandb_log_all, wandb_resume, save_artifacts.\n"
    )


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_every_key_has_a_meaning(section):
    assert [key for key, _, _, meaning, _ in section.rows if not meaning] == []


def test_what_arcface_torch_fixes_is_what_its_run_is_told_of():
    from arcface_fair.hosts.upstream.config import FIXED

    only = {row[0] for row in sections()[0].rows if row[4] != "both"}
    assert only == set(FIXED) <= {field.name for field in fields(RunSettings)}

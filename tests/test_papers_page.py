# SPDX-License-Identifier: MIT
"""Every command of docs/papers.md is the run that a config file of its own was at commit d08c13f.

The expected values are that commit's, written down: a file's keys, over the dataclasses' defaults.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from arcface_fair.cli import build_parser
from arcface_fair.cli.train import config_of
from arcface_fair.config import load_config, merged
from arcface_fair.hosts.settings import RunSettings, parse_run
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings
from gabn_plugin import Settings as GabnSettings
from invreg_plugin import Settings as InvRegSettings
from studies.suites import SWEEPS

PAGE = Path(__file__).parents[1] / "docs/papers.md"
COMMANDS = re.findall(r"`(arcface-fair train .*?)`", PAGE.read_text())

MS1MV3_R50 = {
    "rec": "data/ms1mv3", "num_classes": 93431, "network": "r50", "embedding_size": 512,
    "dropout": 0.4, "margin_list": (1.0, 0.5, 0.0), "margin_scale": 64.0,
    "margin_gradient": "exact", "sample_rate": 1.0, "fp16": True, "batch_size": 512,
    "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "lr_schedule": "step",
    "lr_steps": (9.7, 16.7, 19.3), "num_epoch": 21, "warmup_epoch": 0.0,
    "val_targets": ("lfw", "cfp_fp", "agedb_30"), "verbose": 2000, "seed": 2048,
    "plugins": ("invreg_plugin",),
}  # fmt: skip
MS1MV2_R100 = {**MS1MV3_R50, "rec": "data/ms1mv2", "num_classes": 85742, "network": "r100"}
BUPT = {
    "rec": "data/bupt_balanced", "num_classes": None, "network": "r34", "embedding_size": 512,
    "margin_list": (1.0, 0.35, 0.0), "margin_scale": 64.0, "batch_size": 200, "lr": 0.1,
    "momentum": 0.9, "weight_decay": 5e-4, "lr_schedule": "step", "lr_steps": (9, 15, 20),
    "num_epoch": 30, "num_workers": 4, "plugins": ("gabn_plugin",),
}  # fmt: skip
INVREG = {
    "weight": 0.05,
    "penalty": "irmv1",
    "stages": (1, 11, 17),
    "subsets": 2,
    "objective": "paper",
}
CIFP = {"cifp": True, "margin_list": (1.0, 0.4, 0.0)}


def confidence(threshold: float) -> dict[str, Any]:
    return {"erasing": "off", "adversarial": False, "confidence": True, "threshold": threshold}


# Name of the deleted file -> the run's keys and the plugin's block that it had.
EXPECTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ms1mv3_r50_cifp_invreg": (MS1MV3_R50 | CIFP, INVREG),
    "ms1mv2_r50_invreg": (MS1MV2_R100 | {"network": "r50"}, INVREG),
    "ms1mv2_r50_cifp_invreg": (MS1MV2_R100 | CIFP | {"network": "r50"}, INVREG),
    "ms1mv2_r100_cifp_invreg": (MS1MV2_R100 | CIFP, INVREG),
    "invreg_table8_k3": (MS1MV3_R50, INVREG | {"subsets": 3}),
    "invreg_table8_k4": (MS1MV3_R50, INVREG | {"subsets": 4}),
    "invreg_table9_p1": (MS1MV3_R50, INVREG | {"stages": (1,)}),
    "invreg_table9_p2": (MS1MV3_R50, INVREG | {"stages": (1, 11)}),
    "invreg_table9_p4": (MS1MV3_R50, INVREG | {"stages": (1, 6, 11, 17)}),
    "invreg_figure6_lambda_002": (MS1MV3_R50, INVREG | {"weight": 0.02}),
    "invreg_figure6_lambda_010": (MS1MV3_R50, INVREG | {"weight": 0.1}),
    "invreg_figure6_lambda_020": (MS1MV3_R50, INVREG | {"weight": 0.2}),
    "invreg_linv_paper_rex": (MS1MV3_R50, INVREG | {"penalty": "rex"}),
    "invreg_linv_irmv1_irmv1": (MS1MV3_R50, INVREG | {"objective": "irmv1"}),
    "invreg_linv_irmv1_rex": (MS1MV3_R50, INVREG | {"objective": "irmv1", "penalty": "rex"}),
    "invreg_linv_rex_irmv1": (MS1MV3_R50, INVREG | {"objective": "rex"}),
    "invreg_linv_rex_rex": (MS1MV3_R50, INVREG | {"objective": "rex", "penalty": "rex"}),
    "invreg_shuffled": (MS1MV3_R50, INVREG | {"partition": "shuffled"}),
    "bupt_balanced_r34_gabn_confidence60": (BUPT, confidence(0.6)),
    "bupt_balanced_r34_gabn_confidence70": (BUPT, confidence(0.7)),
    "bupt_balanced_r34_gabn_confidence75": (BUPT, confidence(0.75)),
    "bupt_balanced_r34_gabn_confidence80": (BUPT, confidence(0.8)),
    "bupt_balanced_r34_gabn_random": (
        BUPT,
        {"erasing": "random", "adversarial": False, "confidence": False},
    ),
    "bupt_balanced_r34_gabn_ct": (
        BUPT,
        {"erasing": "off", "adversarial": True, "confidence": False},
    ),
    "bupt_balanced_r34_gabn_sfre": (
        BUPT,
        {"erasing": "attention", "adversarial": False, "confidence": False},
    ),
    "bupt_balanced_r34_gabn_rolled": (
        BUPT,
        {"erasing": "rolled", "adversarial": False, "confidence": False},
    ),
    # Four deleted files were the paper's own row, which kept its config.
    "ms1mv3_r50_invreg": (MS1MV3_R50, INVREG),
}


def parsed(command: str) -> tuple[RunSettings, list[Any]]:
    """What ``arcface-fair train`` makes of the command: the run's settings and its plugins'."""
    config = config_of(build_parser("train").parse_args(shlex.split(command)[1:]))
    modules = load_plugin_modules(config.plugins)
    run, ignored = parse_run(config, {module.NAME for module in modules})
    assert ignored == []
    return run, parse_plugin_settings(modules, config)


@pytest.fixture(scope="module")
def runs():
    """Name of a run's folder -> its settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WORLD_SIZE", raising=False)
        made = [parsed(command) for command in COMMANDS]
    return {Path(run.output).name: (run, settings) for run, settings in made}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_command_is_the_run_of_the_deleted_file(runs, name):
    keys, block = EXPECTED[name]
    settings = InvRegSettings if keys["plugins"] == ("invreg_plugin",) else GabnSettings
    assert runs[name] == (RunSettings(output=f"work_dirs/{name}", **keys), [settings(**block)])


def test_every_command_has_its_own_folder_and_changes_no_other_config(runs):
    assert len(runs) == len(COMMANDS)
    with_lines = {name for name, command in zip(runs, COMMANDS, strict=True) if "--set" in command}
    assert with_lines == set(EXPECTED) - {"ms1mv3_r50_invreg"}


def run_of_row(row: str) -> str:
    """The folder of the run on real data that belongs to a drawn row of a paper's table."""
    whole = {
        "aa_arcface": "bupt_balanced_r34",
        "table4_gabn": "bupt_balanced_r34_gabn",
        "arcface": "ms1mv3_r50_arcface",
        "invreg": "ms1mv3_r50_invreg",
        "invreg_shuffled": "invreg_shuffled",
        "invreg_rex": "invreg_linv_rex_rex",
    }
    table, _, part = row.partition("_")
    gabn = f"bupt_balanced_r34_gabn_{part}"
    return whole.get(row) or (gabn if table in ("table3", "table4") else f"invreg_{row}")


# Rows that only drawn faces can have, or whose number is about their scale.
DRAWN_ONLY = {"ceiling", "aa_ceiling", "figure6_lambda_080"}
DRAWN = {row.name: row for name, rows in SWEEPS.items() if name != "leads" for row in rows}


@pytest.mark.parametrize("name", sorted(set(DRAWN) - DRAWN_ONLY))
def test_a_row_on_drawn_faces_differs_from_its_real_run_in_scale_alone(runs, name):
    row, (_, real) = DRAWN[name], runs[run_of_row(name)]
    config = merged(load_config(row.config), row.changes)
    drawn = parse_plugin_settings(load_plugin_modules(config.get("plugins", ())), config)
    for here, there in zip(drawn, real, strict=True):
        scale = {"classifier_width", "map_side", "classifier_lr", "weight", "stages"}
        if hasattr(here, "stages"):
            assert len(here.stages) == len(there.stages)
            assert here.weight == there.weight
        assert {k for k, v in vars(here).items() if v != getattr(there, k)} <= scale

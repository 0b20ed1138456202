# SPDX-License-Identifier: MIT
"""Configs and checkpoints from the time when contrast erasing was a part of GABN."""

from __future__ import annotations

import logging

import torch
from easydict import EasyDict

from arcface_fair.hosts.upstream.config import configure
from arcface_fair.plugin.loading import with_current_names
from tests.contrast_plugin.runs import OPEN, half_run, losses_of, run_config, saved
from tests.small_data import small_run

CONFIG = (
    "config.gabn.erasing = 'contrast' is now the plugin contrast_plugin with its block "
    "config.contrast; it is read as that, write it so"
)
STATE = (
    "the checkpoint's plugins['gabn']['contrast'] is now plugins['contrast']; it is read as that, "
    "and the next checkpoint is written so"
)
ALONE = {"erasing": "contrast", "confidence": False, "adversarial": False}


def test_an_old_config_is_read_as_the_new_one_and_said(caplog):
    old = {"plugins": ["a", "gabn"], "gabn": {**ALONE, "fill": 0.5, "contrast": {"gate": 0.2}}}
    old["plugins"][0] = "invreg_plugin"
    assert with_current_names(old) == {
        "plugins": ["invreg_plugin", "contrast_plugin"],
        "contrast": {"grey": 0.5, "seed": None, "gate": 0.2},
    }
    assert caplog.messages == [CONFIG]
    assert old["gabn"]["erasing"] == "contrast"  # the caller's stays as it is


def test_the_other_parts_of_gabn_stay_and_act_before(caplog):
    old = {"plugins": ["gabn_plugin"], "gabn": {"erasing": "contrast", "weight": 0.3}}
    assert with_current_names(old) == {
        "plugins": ["gabn_plugin", "contrast_plugin"],
        "gabn": {"erasing": "off", "weight": 0.3},
        "contrast": {"grey": 0.0, "seed": None},
    }
    assert caplog.messages == [CONFIG]


def test_a_config_of_today_is_left_alone(caplog):
    for config in ({}, {"plugins": ["gabn_plugin"], "gabn": {"erasing": "rolled"}}):
        assert with_current_names(config) is config
    assert caplog.messages == []


def test_upstreams_config_is_renamed_in_place(record, tmp_path, caplog):
    cfg = EasyDict(
        small_run(record, tmp_path / "run", plugins=["gabn_plugin"],
                  gabn={**ALONE, "contrast": OPEN}, num_image=48)
    )  # fmt: skip
    configure(cfg)
    assert cfg.plugins == ["contrast_plugin"]
    assert cfg.contrast.partition == "table"
    assert "gabn" not in cfg
    assert CONFIG in caplog.messages


def test_an_old_run_is_resumed_exactly_from_its_old_checkpoint(record, tmp_path, caplog):
    contrast = {**OPEN, "start": 0.3}
    whole = losses_of(run_config(record, tmp_path / "whole", contrast, num_epoch=3))
    half_run(record, tmp_path / "run", contrast)
    path = tmp_path / "run" / "checkpoint_gpu_0.pt"
    state = torch.load(path, weights_only=True)
    before = state["plugins"].pop("contrast")
    state["plugins"]["gabn"] = {"scale": {}, "contrast": before}
    torch.save(state, path)
    old = small_run(record, tmp_path / "run", plugins=["gabn_plugin"], num_epoch=3, resume=True,
                    gabn={**ALONE, "contrast": contrast})  # fmt: skip
    with caplog.at_level(logging.WARNING, "arcface_fair"):
        rest = losses_of(old)
    assert STATE in caplog.text
    assert CONFIG in caplog.text
    assert torch.equal(saved(tmp_path / "run")["found"]["map"], before["found"]["map"])
    assert rest == whole[-6:]

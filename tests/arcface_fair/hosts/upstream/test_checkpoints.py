# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch

from arcface_fair import bridge
from arcface_fair.errors import UserError
from arcface_fair.hosts.upstream.run import metadata_of


def upstreams_file(rows: torch.Tensor, step: int = 6, last_epoch: int = 6) -> dict:
    """What an unpatched arcface_torch saves; the optimiser's last group is the head."""
    groups = [{"lr": 0.1, "params": [0]}, {"lr": 0.1, "params": [1]}]
    state = {0: {"momentum_buffer": torch.ones(2)}, 1: {"momentum_buffer": rows * 10}}
    return {
        "epoch": 1,
        "global_step": step,
        "state_dict_backbone": {"weight": torch.ones(2)},
        "state_dict_softmax_fc": {"weight": rows},
        "state_optimizer": {"state": state, "param_groups": groups},
        "state_lr_scheduler": {"last_epoch": last_epoch, "_step_count": last_epoch + 1},
    }


@pytest.fixture
def run(cfg):
    cfg.update(num_classes=8, num_image=48)
    Path(cfg.output).mkdir()
    return cfg


def test_what_is_saved_comes_back(run):
    state = {
        **upstreams_file(torch.arange(16.0).reshape(8, 2)),
        "facts": metadata_of(run),
        "step": 0,
    }
    bridge.save_checkpoint(run, state)
    found = bridge.load_checkpoint(run)
    assert found["global_step"] == 6
    assert torch.equal(found["state_dict_softmax_fc"]["weight"], torch.arange(16.0).reshape(8, 2))
    assert not list(Path(run.output).glob("*.new.pt"))


def test_two_files_of_upstreams_own_become_one_process_s(run):
    rows = torch.arange(16.0).reshape(8, 2)
    for rank in (0, 1):
        part = upstreams_file(rows[4 * rank : 4 * rank + 4], step=3, last_epoch=3)
        torch.save(part, Path(run.output) / f"checkpoint_gpu_{rank}.pt")
    found = bridge.load_checkpoint(run)
    assert torch.equal(found["state_dict_softmax_fc"]["weight"], rows)
    assert torch.equal(found["state_optimizer"]["state"][1]["momentum_buffer"], rows * 10)
    # 3 steps of 2 x 8 images are an epoch of 48; in batches of 8 these are 6 steps.
    assert found["global_step"] == 6
    assert found["state_lr_scheduler"]["last_epoch"] == 6


def test_another_runs_checkpoint_is_refused(run):
    state = {**upstreams_file(torch.zeros(8, 2)), "facts": {**metadata_of(run), "network": "r18"}}
    bridge.save_checkpoint(run, state)
    with pytest.raises(UserError, match="was written with network 'r18', this run has 'tiny'"):
        bridge.load_checkpoint(run)


def test_a_missing_checkpoint_is_refused(run):
    with pytest.raises(UserError, match=r"checkpoint_gpu_0.pt does not exist"):
        bridge.load_checkpoint(run)

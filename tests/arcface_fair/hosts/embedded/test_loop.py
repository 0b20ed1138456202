# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.hosts.embedded import train
from arcface_fair.run.checkpoint import UPSTREAM_KEYS
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"))


def recorded(record, output, **changes):
    """The losses of a run, by step."""
    path = output.with_suffix(".losses")
    plugins = ["tests.recorder", *changes.pop("plugins", [])]
    recorder = {"path": str(path)}
    train(small_run(record, output, plugins=plugins, recorder=recorder, **changes))
    return read_losses(path)


def test_a_run_writes_upstreams_files_and_keys(record, tmp_path):
    output = train(small_run(record, tmp_path / "run", val_targets=["unseen"], verbose=6))
    names = {path.name for path in output.iterdir()}
    assert {
        "model.pt",
        "checkpoint_gpu_0.pt",
        "training.log",
        "tensorboard",
        "config.json",
    } <= names
    assert not [name for name in names if name.endswith((".tmp", ".new.pt"))]
    checkpoint = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    assert set(UPSTREAM_KEYS) <= set(checkpoint)
    assert (checkpoint["epoch"], checkpoint["global_step"]) == (2, 12)
    assert list(checkpoint["state_dict_softmax_fc"]) == ["weight"]
    model = torch.load(output / "model.pt", weights_only=True)
    assert model.keys() == checkpoint["state_dict_backbone"].keys()
    log = (output / "training.log").read_text()
    assert "step 12 epoch 1 loss" in log
    assert log.count("[unseen][12] accuracy") == 2  # at `verbose` steps, and at the end
    config = json.loads((output / "config.json").read_text())
    assert (config["network"], config["num_classes"]) == ("small", 8)


def test_training_learns(record, tmp_path):
    losses = [loss for _, loss in recorded(record, tmp_path / "run", num_epoch=8)]
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:3])


def test_a_key_that_this_host_ignores_is_named(record, tmp_path):
    train(small_run(record, tmp_path / "run", dali=True, colour="red", num_epoch=1))
    log = (tmp_path / "run" / "training.log").read_text()
    assert "config.dali is ignored by the embedded trainer" in log
    assert "config.colour is ignored by the embedded trainer" in log


def test_the_same_seed_gives_the_same_losses_with_or_without_workers(record, tmp_path):
    alone = recorded(record, tmp_path / "a", shift=3)
    assert recorded(record, tmp_path / "b", shift=3, num_workers=2) == alone
    assert recorded(record, tmp_path / "c", shift=3, seed=4) != alone


def test_fp16_compression_rounds_the_gradients_of_one_process_too(record, tmp_path):
    plain = recorded(record, tmp_path / "a")
    rounded = recorded(record, tmp_path / "b", gradient_compression="fp16")
    assert rounded[0] == plain[0]
    assert rounded[1] != plain[1]
    # The second loss sees one rounded update: half precision keeps three digits.
    assert rounded[1][1] == pytest.approx(plain[1][1], rel=1e-3)


def test_bfloat16_follows_float32_roughly(record, tmp_path):
    plain = recorded(record, tmp_path / "a")
    half = recorded(record, tmp_path / "b", bf16=True)
    torch.set_autocast_dtype("cpu", torch.bfloat16)  # torch's own default, whatever the run set
    assert half != plain
    # Before any update the two compute one function, to bfloat16's two to three digits; later
    # steps part ways, as any two roundings do, but both learn.
    assert half[0][1] == pytest.approx(plain[0][1], rel=1e-2)
    assert np.mean([loss for _, loss in half[-3:]]) < 0.5 * half[0][1]


def test_accumulation_waits_for_the_last_micro_step(record, tmp_path):
    output = train(
        small_run(record, tmp_path / "run", gradient_acc=5, num_epoch=1, lr_schedule="step")
    )
    state = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    assert state["global_step"] == 6
    # One optimiser step after five micro-steps; the sixth waits and is kept.
    assert any(g is not None and bool(g.any()) for g in state["pending_gradients"])


COMMAND = [sys.executable, "-W", "error", "-m", "arcface_fair.train"]


def run_command(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("WORLD_SIZE", None)
    return subprocess.run(
        [*COMMAND, str(config), *options], env=environment, capture_output=True, text=True
    )


def write_config(path: Path, values: dict) -> Path:
    lines = [f"config[{key!r}] = {value!r}" for key, value in values.items()]
    path.write_text("\n".join(["from easydict import EasyDict", "config = EasyDict()", *lines]))
    return path


@pytest.mark.parametrize("accumulation", [1, 4])
def test_a_killed_run_resumes_with_the_uninterrupted_losses(record, tmp_path, accumulation):
    settings = {
        "dropout": 0.3,  # draws from the global generator, which must come back too
        "checkpoint_steps": 3,
        "gradient_acc": accumulation,
        "plugins": ["tests.recorder", "invreg_plugin"],
        "invreg": {"stages": (1,), "weight": 0.5},
    }
    whole = recorded(record, tmp_path / "whole", **{**settings, "plugins": ["invreg_plugin"]})
    output, losses = tmp_path / "killed", tmp_path / "killed.losses"
    values = small_run(record, output, **settings)
    killed = write_config(
        tmp_path / "killed.py", {**values, "recorder": {"path": str(losses), "kill_at": 11}}
    )
    assert run_command(killed).returncode == -9
    again = write_config(tmp_path / "again.py", {**values, "recorder": {"path": str(losses)}})
    result = run_command(again, "--resume")
    assert result.returncode == 0, result.stderr
    seen = read_losses(losses)
    assert [step for step, _ in seen] == [*range(1, 12), *range(10, 13)]  # went on after step 9
    assert seen[:11] == whole[:11]
    assert seen[11:] == whole[9:]


def test_a_finished_run_resumes_into_more_epochs(record, tmp_path):
    whole = recorded(record, tmp_path / "whole", num_epoch=3, lr_schedule="step")
    recorded(record, tmp_path / "parts", num_epoch=2, lr_schedule="step")
    seen = recorded(record, tmp_path / "parts", num_epoch=3, lr_schedule="step", resume=True)
    assert seen == whole

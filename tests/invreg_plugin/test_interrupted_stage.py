# SPDX-License-Identifier: MIT
"""A partition stage that was interrupted goes on, and the run equals the uninterrupted one."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import invreg_plugin.features
from arcface_fair.errors import UserError
from arcface_fair.hosts.embedded import train
from invreg_plugin.features import FeatureStore
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

ROOT = Path(__file__).parents[2]
IMAGES, BATCH = 48, 8
INVREG = {"plugins": ["tests.recorder", "invreg_plugin"], "invreg": {"stages": (1,), "weight": 0.5}}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"))


@pytest.fixture(scope="module")
def whole(record, tmp_path_factory):
    """Losses and partition file of the run that nothing interrupts."""
    output = tmp_path_factory.mktemp("whole") / "run"
    train(invreg_run(record, output))
    return outcome(output)


def invreg_run(record: Path, output: Path, **changes: Any) -> dict[str, Any]:
    recorder = {"path": str(output.with_suffix(".losses"))}
    return small_run(record, output, **{**INVREG, "recorder": recorder, **changes})


def outcome(output: Path) -> tuple[list[tuple[int, float]], str]:
    losses = read_losses(output.with_suffix(".losses"))
    return losses, (output / "partitions" / "stage_1.tsv").read_text()


def run_and_be_killed(config: dict[str, Any], folder: Path, *launcher: str, **killer: Any) -> int:
    """Trains ``config`` in a child that the plugin of that name kills; its exit code."""
    plugins = ["tests.stage_killer", *config["plugins"]]
    return run_child({**config, "plugins": plugins, "stage_killer": killer}, folder, *launcher)


def run_child(config: dict[str, Any], folder: Path, *launcher: str) -> int:
    lines = [f"config[{key!r}] = {value!r}" for key, value in config.items()]
    path = folder / "child.py"
    path.write_text("\n".join(["from easydict import EasyDict", "config = EasyDict()", *lines]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("WORLD_SIZE", None)
    command = [sys.executable, *launcher, "-m", "arcface_fair.train", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode


@pytest.fixture
def written(monkeypatch):
    """The rows that are written to feature stores from now on."""
    rows: list[int] = []
    write = FeatureStore.write

    def count(store: FeatureStore, start: int, part: Any) -> None:
        rows.extend(range(start, start + len(part)))
        write(store, start, part)

    monkeypatch.setattr(FeatureStore, "write", count)
    return rows


@pytest.mark.parametrize(
    ("inside", "after", "rows_left"),
    [("extraction", 2, IMAGES - 2 * BATCH), ("learning", 50, 0)],
)
def test_a_run_killed_inside_a_stage_goes_on_as_if_it_had_not_been(
    record, whole, written, tmp_path, inside, after, rows_left
):
    output = tmp_path / "run"
    config = invreg_run(record, output)
    assert run_and_be_killed(config, tmp_path, inside=inside, after=after) == -9
    assert (output / "features.bin").exists()
    assert not (output / "partitions").exists()
    train({**config, "resume": True})
    assert len(written) == rows_left  # what was extracted is not extracted again
    assert outcome(output) == whole
    assert not (output / "features.bin").exists()


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.slow
@pytest.mark.parametrize(("inside", "after"), [("extraction", 2), ("learning", 50)])
def test_two_processes_of_which_one_is_killed_go_on_too(record, tmp_path, inside, after):
    undisturbed = invreg_run(record, tmp_path / "whole", batch_size=BATCH // 2)
    assert run_child(undisturbed, tmp_path, *TORCHRUN) == 0
    config = invreg_run(record, tmp_path / "run", batch_size=BATCH // 2)
    killer = {"inside": inside, "after": after, "rank": 1}
    assert run_and_be_killed(config, tmp_path, *TORCHRUN, **killer) != 0
    assert not (tmp_path / "run" / "partitions").exists()
    assert run_child({**config, "resume": True}, tmp_path, *TORCHRUN) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_features_of_another_model_are_said_and_not_used(record, whole, written, tmp_path, caplog):
    output = tmp_path / "run"
    output.mkdir()
    with FeatureStore.create(output / "features.bin", IMAGES, 16, "another model") as store:
        store.write(0, np.ones((IMAGES, 16)))
    written.clear()
    with caplog.at_level(logging.WARNING):
        train(invreg_run(record, output))
    assert "holds features of another model or record, or is damaged: not used" in caplog.text
    assert sorted(written) == list(range(IMAGES))
    assert outcome(output) == whole


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_after(calls: int) -> Any:
    put, done = FeatureStore._put, 0

    def write(store: FeatureStore, offset: int, data: bytes) -> None:
        nonlocal done
        done += 1
        if done > calls:
            full()
        put(store, offset, data)

    return write


@pytest.mark.parametrize("moment", ["at the start", "in the middle"])
def test_a_full_disk_is_said_and_the_training_state_stays_whole(
    record, whole, tmp_path, monkeypatch, moment
):
    output = tmp_path / "run"
    config = invreg_run(record, output)
    with monkeypatch.context() as disk:
        if moment == "at the start":
            disk.setattr(invreg_plugin.features, "_allocate", full)
        else:
            disk.setattr(FeatureStore, "_put", full_after(5))
        with pytest.raises(UserError, match=r"the disk is full: .*features.bin needs .* free some"):
            train(config)
    assert not (output / "features.bin").exists()
    state = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    assert (state["epoch"], state["global_step"]) == (1, 6)
    train({**config, "resume": True})
    assert outcome(output) == whole


def test_a_partition_file_that_cannot_be_written_is_said(record, whole, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    (output / "partitions").write_text("in the way")
    config = invreg_run(record, output)
    with pytest.raises(UserError, match=r"stage_1.tsv cannot be written .* choose a folder that"):
        train(config)
    (output / "partitions").unlink()
    train({**config, "resume": True})
    assert outcome(output) == whole


def test_an_interrupt_leaves_the_features_for_the_run_that_goes_on(
    record, whole, written, tmp_path, monkeypatch
):
    output = tmp_path / "run"
    config = invreg_run(record, output)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as user:
        user.setattr(invreg_plugin.hook, "learn_partition", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    written.clear()
    train({**config, "resume": True})
    assert written == []
    assert outcome(output) == whole

# SPDX-License-Identifier: MIT
"""The installed arcface_torch gives the embedded trainer's losses, and upstream's own as before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.patches import hosts
from tests.patches.checkout import fresh_copy, git
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RUNNER = [str(Path(__file__).with_name("record_run.py"))]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    (folder / "groups.tsv").write_text(
        "identity\tkind\n" + "".join(f"{i}\t{'ab'[i % 2]}\n" for i in range(8))
    )
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return hosts.install(fresh_copy(tmp_path_factory.mktemp("installed") / "arcface_torch"))


def recorded(home, config, path, monkeypatch, *, stubs=False):
    """The losses of a run without plugins, by wrapping upstream's own meter."""
    monkeypatch.setenv("LOSSES", str(path))
    monkeypatch.setenv("STUBS", "all" if stubs else "")
    done = hosts.run(home, config, runner=RUNNER, timeout=800)
    assert done.returncode == 0, done.stdout[-3000:]
    return [loss for _, loss in read_losses(path)]


def test_plain_arcface_installed_gives_the_losses_of_the_uninstalled(
    home, record, tmp_path, monkeypatch
):
    config = {
        "rec": str(record), "output": str(tmp_path / "run"), "network": "r18", "batch_size": 8,
        "num_classes": 8, "num_image": 48, "num_epoch": 1, "warmup_epoch": 0, "num_workers": 1,
        "val_targets": [], "embedding_size": 32, "lr": 0.01, "fp16": False,
    }  # fmt: skip
    plain = fresh_copy(tmp_path / "plain")
    before = recorded(plain, config, tmp_path / "before", monkeypatch, stubs=True)
    after = recorded(home, config, tmp_path / "after", monkeypatch)
    assert len(before) == 6
    assert after == before


VARIANTS = {
    "plain": {},
    "invreg": {"plugins": ["invreg_plugin"], "invreg": {"stages": (0,), "weight": 0.5}},
    "gabn": {"plugins": ["gabn_plugin"], "gabn": {
        "classifier_width": 4, "map_side": 14, "start": 0.0, "rectangles": 3,
    }},
    # The partition and the map come before epoch 2, within the steps that are compared.
    "contrast": {
        "plugins": ["invreg_plugin", "contrast_plugin"],
        "invreg": {"stages": (2,), "weight": 0.0, "objective": "rex"},
        "contrast": {"start": 0.5, "gate": 0.0, "maps": 4},
    },
}  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_ten_steps_from_one_checkpoint_are_equal_in_both_hosts(
    home, record, tmp_path, monkeypatch, variant, processes
):
    changes = VARIANTS[variant]
    config = small_run(
        record, tmp_path / "embedded", batch_size=8 // processes, num_epoch=3, lr=0.005,
        flip=False, gradient_compression="fp16", **changes,
    )  # fmt: skip
    own = ["tests.recorder", "tests.upstream_order", *changes.get("plugins", [])]
    embedded = {**config, "plugins": own}
    first, second = tmp_path / "first", tmp_path / "second"
    train(tmp_path, {**embedded, "recorder": {"path": str(first), "kill_at": 7}}, processes)
    upstream = {**config, "output": str(tmp_path / "upstream"), "resume": True, "num_image": 48,
                "num_workers": 1}  # fmt: skip
    shutil.copytree(tmp_path / "embedded", tmp_path / "upstream")
    train(tmp_path, {**embedded, "resume": True, "recorder": {"path": str(second)}}, processes)
    ours = [loss for step, loss in read_losses(second) if step <= 16]
    if variant == "plain" and processes == 1:
        theirs = recorded(home, upstream, tmp_path / "theirs", monkeypatch)[:10]
    else:
        seen = hosts.losses(home, upstream, tmp_path / "theirs", processes=processes)
        theirs = [loss for step, loss in seen if step <= 16]
    assert len(ours) == 10
    print(variant, processes, np.abs(np.array(theirs) / ours - 1).max())
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)


def train(folder, config, processes):
    """The embedded trainer in processes of its own; a run that is killed at a step may fail."""
    path = hosts.write_config(folder / "embedded_run.py", config)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(hosts.ROOT)}
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [*command, "-m", "arcface_fair.train", str(path)],
        env=environment, capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert config["recorder"].get("kill_at") or done.returncode == 0, done.stderr[-3000:]


def test_undo_leaves_git_status_clean(home):
    assert git(home, "status", "--short") != ""
    copy = shutil.copytree(home, home.parent / "undone")
    hosts.installer().undo(Path(copy))
    (Path(copy) / "configs" / "trial.py").unlink(missing_ok=True)
    shutil.rmtree(Path(copy) / "work_dirs", ignore_errors=True)
    for cache in Path(copy).rglob("__pycache__"):
        shutil.rmtree(cache)
    assert git(Path(copy), "status", "--short") == ""

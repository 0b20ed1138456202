# SPDX-License-Identifier: MIT
"""Runs the training script of an installed arcface_torch, or of the miniature, in processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from arcface_fair.cli._patching import installer
from arcface_fair.config import shipped_configs
from tests.recorder import read_losses

ROOT = Path(__file__).parents[2]
MINIATURE = Path(__file__).parent / "miniature"
NOT_IN_MINIATURE = ("export", "ijb")


def miniature(target: Path) -> Path:
    """A copy of the miniature trainer in ``target``."""
    return Path(shutil.copytree(MINIATURE, target, ignore=shutil.ignore_patterns("__pycache__")))


def install(home: Path, without: tuple[str, ...] = ()) -> Path:
    """Installs in ``home`` and returns it."""
    tools = installer()
    assert tools.apply(tools.make_plan(home, tools.chosen(without=without), shipped_configs()))
    return home


def run(
    home: Path,
    config: dict[str, Any],
    *,
    processes: int = 1,
    runner: list[str] | None = None,
    python: str = sys.executable,
    timeout: float = 280,
) -> subprocess.CompletedProcess[str]:
    """Trains ``config`` in ``home`` with its train_v2.py; standard output holds everything."""
    write_config(home / "configs" / "trial.py", config)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(home), str(ROOT)])
    environment.pop("WORLD_SIZE", None)
    command = [python, *(runner or ["train_v2.py"])]
    if processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command[1:1] = launch
    return subprocess.run(
        [*command, "configs/trial"], cwd=home, env=environment, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def write_config(path: Path, values: dict[str, Any]) -> Path:
    """A config file in upstream's form."""
    lines = [f"config[{key!r}] = {value!r}" for key, value in values.items()]
    path.write_text("\n".join(["from easydict import EasyDict", "config = EasyDict()", *lines, ""]))
    return path


def losses(
    home: Path, config: dict[str, Any], losses_file: Path, *, processes: int = 1, kill_at: int = 0
) -> list[tuple[int, float]]:
    """Trains with the recorder among the plugins; (step, loss) as rank 0 saw them, exactly."""
    losses_file.unlink(missing_ok=True)
    settings = {
        **config,
        "plugins": ["tests.recorder", *config.get("plugins", [])],
        "recorder": {"path": str(losses_file), "kill_at": kill_at},
    }
    done = run(home, settings, processes=processes)
    if kill_at:
        assert done.returncode != 0
    else:
        assert done.returncode == 0, done.stdout[-3000:]
    return read_losses(losses_file)

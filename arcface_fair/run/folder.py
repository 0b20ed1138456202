# SPDX-License-Identifier: MIT
"""The output folder of a run, and the metadata in it that evaluation and export need."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import arcface_fair
from arcface_fair import dist
from arcface_fair.errors import UserError

SECRETS = ("wandb_key",)  # keys of arcface_torch's configs that no file of a run should hold


def prepare_output(folder: Path) -> None:
    """Makes the output folder and proves that it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{dist.rank()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write to the output folder {folder}: {error.strerror}; "
            "set config.output to a folder that you may write to"
        ) from error


def write_config(folder: Path, config: Mapping[str, Any], num_classes: int) -> None:
    """``config.json`` in ``folder``, written by rank 0: the run's keys, classes, versions."""
    if dist.rank() != 0:
        return
    known = {key: value for key, value in config.items() if key not in SECRETS} | {
        "num_classes": num_classes,
        "world_size": dist.world_size(),
        "versions": {"arcface_fair": arcface_fair.__version__, "torch": torch.__version__},
    }
    path = folder / "config.json"
    try:
        path.write_text(json.dumps(known, indent=1, default=str) + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; free space or change config.output"
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """What `write_config` wrote; empty where ``folder`` has no ``config.json``.

    Raises UserError for a file that is no run's config.
    """
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}); restore it, or give the .pt file from "
            "another folder together with its network"
        ) from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds {type(config).__name__}, expected a run's config")
    return config


def append_to_log(folder: Path, text: str) -> None:
    """A last line of ``training.log``, for what ended the run; nothing where none had begun."""
    path = folder / "training.log"
    if path.is_file():
        with path.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

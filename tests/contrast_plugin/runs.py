# SPDX-License-Identifier: MIT
"""Runs of partition-contrast erasing on a small record, for the tests beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from arcface_fair import dist
from arcface_fair.hosts.embedded import train
from arcface_fair.hosts.embedded.loop import Trainer
from arcface_fair.hosts.ranks import choose_device
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules
from tests.recorder import read_losses
from tests.small_data import small_run

WORDS = ["b", "a", "b", "", "a", "b", "b", "a"]
OPEN: dict[str, Any] = {"partition": "table", "start": 0.5, "gate": 0.0, "maps": 8}
STAGE = {"weight": 0.0, "stages": (1,), "objective": "rex"}


def run_config(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> dict:
    plugins = [*changes.pop("plugins", []), "contrast_plugin"]
    return small_run(record, output, plugins=plugins, contrast=contrast, **changes)


def learned(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> dict:
    stage = {**STAGE, **changes.pop("invreg", {})}
    contrast = {"start": 0.5, "gate": 0.0, "maps": 4, **contrast}
    return run_config(record, output, contrast, plugins=["invreg_plugin"], invreg=stage, **changes)


def trainer_of(config: dict[str, Any]) -> Trainer:
    modules = load_plugin_modules(config["plugins"])
    run, _ = parse_run(config, {module.NAME for module in modules})
    return Trainer(run, config, modules, choose_device("cpu"))


def losses_of(config: dict[str, Any]) -> list[float]:
    path = Path(config["output"]).with_suffix(".losses")
    if dist.rank() == 0:
        path.unlink(missing_ok=True)
    plugins = ["tests.recorder", *config.get("plugins", [])]
    train({**config, "plugins": plugins, "recorder": {"path": str(path)}})
    dist.barrier()
    return [loss for _, loss in read_losses(path)]


def saved(output: Path) -> dict[str, Any]:
    state = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    return state["plugins"]["contrast"]


def batches_before_and_after(config: dict[str, Any]) -> tuple[Trainer, list[tuple]]:
    """Images and labels as loaded and as the backbone saw them, step by step."""
    trainer = trainer_of(config)
    real, seen = trainer.session.before_forward, []

    def note(images: torch.Tensor, labels: torch.Tensor, *rest: Any) -> torch.Tensor:
        after = real(images, labels, *rest)
        seen.append((trainer.session.epoch, images.clone(), labels.clone(), after.clone()))
        return after

    trainer.session.before_forward = note  # type: ignore[method-assign]
    trainer.fit()
    return trainer, seen


def half_run(record: Path, output: Path, contrast: dict[str, Any], **changes: Any) -> None:
    """Ends a run of three epochs after its second."""
    trainer = trainer_of(run_config(record, output, contrast, num_epoch=3, **changes))
    real, stopped = trainer.session.before_epoch, RuntimeError("stop")

    def stop(epoch: int) -> None:
        if epoch == 2:
            raise stopped
        real(epoch)

    trainer.session.before_epoch = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit()

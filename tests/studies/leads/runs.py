# SPDX-License-Identifier: MIT
"""Whole small runs of the leads, on any number of processes, in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from arcface_fair import dist
from arcface_fair.data.groups import GroupTable
from arcface_fair.hosts.embedded import loop, train
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record


def write_record(folder: Path) -> Path:
    """Eight identities in three groups, one of them in none."""
    write_small_record(folder)
    words = ["b", "a", "b", "", "a", "c", "b", "a"]
    GroupTable.of_words({"race": words, "all": ["x"] * 8}).write(folder / "groups.tsv")
    return folder


def losses_of(record: str, output: str, plugins: list[str], changes: dict[str, Any]) -> list[float]:
    """Every step's loss. Rounding would hide a wrong factor, so the run is in float64."""
    path = Path(output).with_suffix(".losses")
    if dist.rank() == 0:
        path.unlink(missing_ok=True)
    dist.barrier()
    changes = {"norm": "none", "lr": 0.01, "num_epoch": 2, "margin_gradient": "exact", **changes}
    config = small_run(
        Path(record), Path(output),
        plugins=["tests.recorder", *plugins], recorder={"path": str(path)}, **changes,
    )  # fmt: skip
    real = loop.to_input
    torch.set_default_dtype(torch.float64)
    loop.to_input = lambda images: real(images).double()  # type: ignore[attr-defined]
    try:
        train(config)
    finally:
        loop.to_input = real  # type: ignore[attr-defined]
        torch.set_default_dtype(torch.float32)
    dist.barrier()
    return [loss for _, loss in read_losses(path)]

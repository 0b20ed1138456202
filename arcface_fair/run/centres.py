# SPDX-License-Identifier: MIT
"""The class centres of a run, from the files of all its ranks. C classes, D embedding size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.head import CombinedMargin, PartialFC
from arcface_fair.run.checkpoint import checkpoint_path, kept_centres_path, read_state


def class_centres(folder: Path, world_size: int, epoch: int | None = None) -> Tensor | None:
    """float32 [C, D] of the last checkpoint, or of a kept ``epoch``; None where a part is missing.

    Raises UserError for a file that cannot be read.
    """
    parts = []
    for rank in range(world_size):
        part = _last_part(folder, rank) if epoch is None else _kept_part(folder, epoch, rank)
        if part is None:
            return None
        parts.append(part)
    return torch.cat(parts).float()


def load_head(folder: str | Path, config: Mapping[str, Any]) -> PartialFC:
    """The classifier of a run from the checkpoints of all its ranks, whole, on the CPU.

    Raises UserError where ranks' files are missing: maps need every class.
    """
    folder = Path(folder)
    ranks = int(config.get("world_size", 1))
    weight = class_centres(folder, ranks)
    if weight is None:
        missing = [path for r in range(ranks) if not (path := checkpoint_path(folder, r)).is_file()]
        raise UserError(
            f"{missing[0]} does not exist, expected the checkpoints of "
            f"{ranks} rank(s) with the class centres; train with save_all_states = True"
        )
    margin = CombinedMargin(
        float(config.get("margin_scale", 64.0)), *config.get("margin_list", (1.0, 0.5, 0.0))
    )
    head = PartialFC(margin, weight.shape[1], len(weight))
    head.load_state_dict({"weight": weight})
    return head


def _kept_part(folder: Path, epoch: int, rank: int) -> Tensor | None:
    path = kept_centres_path(folder, epoch, rank)
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)["weight"]
    except Exception as error:  # whatever a damaged file raises
        raise UserError(
            f"{path} cannot be read as class centres ({type(error).__name__}); restore or delete it"
        ) from error


def _last_part(folder: Path, rank: int) -> Tensor | None:
    path = checkpoint_path(folder, rank)
    return read_state(path)["state_dict_softmax_fc"]["weight"] if path.is_file() else None

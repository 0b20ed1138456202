# SPDX-License-Identifier: MIT
"""The networks that a run kept (`keep_epochs`) and its last one, each with its class centres."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError
from arcface_fair.run.checkpoint import checkpoint_path, kept_centres_path, read_state
from arcface_fair.run.weights import find_model, load_backbone

_KEPT = re.compile(r"model_epoch_(\d+)\.pt")


@dataclass(frozen=True)
class Moment:
    """One network of the run. ``epoch``: the last one that it was trained for, from 0."""

    epoch: int
    weights: Path
    last: bool

    @property
    def name(self) -> str:
        """What figures call it."""
        return f"after epoch {self.epoch}" + (" (last)" if self.last else "")


def moments(folder: Path, num_epochs: int, most: int = 5) -> Iterator[Moment]:
    """The kept networks in order, at most ``most`` evenly spread, and the last one."""
    last = Moment(num_epochs - 1, folder / "model.pt", True)
    found = {
        int(match[1]): path
        for path in folder.glob("model_epoch_*.pt")
        if (match := _KEPT.fullmatch(path.name)) and int(match[1]) < last.epoch
    }
    epochs = sorted(found)
    if len(epochs) > most - 1:
        steps = torch.linspace(0, len(epochs) - 1, most - 1).round().long().tolist()
        epochs = [epochs[step] for step in steps]
    yield from (Moment(epoch, found[epoch], False) for epoch in epochs)
    yield last


def backbone_of(folder: Path, moment: Moment) -> nn.Module:
    """The network in eval mode, on the CPU."""
    return load_backbone(replace(find_model(folder), weights=moment.weights))


def centres_of(folder: Path, moment: Moment, world_size: int) -> Tensor | None:
    """The class centres [C, D] that went with it; None where a rank's part is not there."""
    parts = []
    for rank in range(world_size):
        part = _last_part(folder, rank) if moment.last else _kept_part(folder, moment.epoch, rank)
        if part is None:
            return None
        parts.append(part)
    return torch.cat(parts).float()


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

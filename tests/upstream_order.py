# SPDX-License-Identifier: MIT
"""A plugin for tests: the embedded trainer takes images in arcface_torch's order.

Both hosts shuffle by seed and epoch, each in its own way; losses can only be compared on the same
batches. Upstream: one torch permutation of seed + epoch, rank r takes every R-th image from r on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from arcface_fair.data.training.loader import EpochBatches
from arcface_fair.plugin.parts import Hook, Plugin

NAME = "upstream_order"


@dataclass(frozen=True)
class Settings:
    pass


def _batches(self: EpochBatches) -> Iterator[list[tuple[int, int]]]:
    generator = torch.Generator().manual_seed(self.epoch + self.seed)
    order = torch.randperm(self.num_images, generator=generator).tolist()
    own = order[self.rank :: self.world_size]
    for step in range(self.first_step, len(self)):
        rows = own[step * self.batch_size : (step + 1) * self.batch_size]
        yield [(self.epoch, position) for position in rows]


class Order(Hook):
    def before_train(self, session: Any) -> None:
        EpochBatches.__iter__ = _batches  # type: ignore[method-assign]


def build(settings: Settings, session: Any) -> Plugin:
    return Plugin(name=NAME, hooks=(Order(),))

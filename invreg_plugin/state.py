# SPDX-License-Identifier: MIT
"""The partitions found so far: the plugin's state, the same on every rank.

S stages, C identities, P partitions in force, N rows of the global batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import NOT_ASSIGNED


class Partitions:
    """``subset`` uint8 [S, C]: the subset of every identity at every stage, 255 = not learned.

    A stage is learned once it has a K; its row may still hold 255 for identities without images.
    """

    def __init__(self, num_stages: int, num_classes: int, device: torch.device) -> None:
        shape = (num_stages, num_classes)
        self.subset = torch.full(shape, NOT_ASSIGNED, dtype=torch.uint8, device=device)
        self.num_subsets = [0] * num_stages
        self.seeds = [0] * num_stages

    def learned(self, stage: int) -> bool:
        """Whether the partition of ``stage`` exists."""
        return self.num_subsets[stage] > 0

    @property
    def learned_stages(self) -> list[int]:
        """The stages, from 0, whose partitions are in force."""
        return [stage for stage in range(len(self.num_subsets)) if self.learned(stage)]

    @property
    def largest(self) -> int:
        """The largest K of all stages, at least 2."""
        return max([2, *self.num_subsets])

    def put(self, stage: int, subset: Tensor, num_subsets: int, seed: int) -> None:
        """Keeps the partition of ``stage``: uint8 [C]."""
        self.subset[stage] = subset.to(self.subset.device)
        self.num_subsets[stage] = num_subsets
        self.seeds[stage] = seed

    def of_batch(self, batch_labels: Tensor) -> Tensor:
        """Subsets of the rows of a batch in every learned partition: int64 [P, N], -1 = none."""
        rows = self.subset[self.learned_stages][:, batch_labels].long()
        return rows.masked_fill(rows == NOT_ASSIGNED, -1)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only."""
        return {
            "partitions": self.subset.cpu(),
            "num_subsets": list(self.num_subsets),
            "seeds": list(self.seeds),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a state back; a run with more stages keeps the further ones unlearned.

        Raises UserError for a state of another number of identities, or of more stages.
        """
        saved = state["partitions"]
        stages, classes = self.subset.shape
        if saved.shape[1] != classes:
            raise UserError(
                f"the checkpoint's partitions are of {saved.shape[1]} identities, this run has "
                f"{classes}; resume with the record of the first run"
            )
        if saved.shape[0] > stages:
            raise UserError(
                f"the checkpoint holds {saved.shape[0]} partitions, invreg.stages lists {stages}; "
                "keep the stages of the first run, or add further ones behind them"
            )
        self.subset[: saved.shape[0]] = saved.to(self.subset.device)
        self.num_subsets[: saved.shape[0]] = [int(k) for k in state["num_subsets"]]
        self.seeds[: saved.shape[0]] = [int(seed) for seed in state["seeds"]]

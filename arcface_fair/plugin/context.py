# SPDX-License-Identifier: MIT
"""What a plugin is given: what is known of the run, and the step before and after the head.

B rows on this rank, N rows of the whole batch (all ranks' rows in rank order), D embedding size,
C classes in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from arcface_fair.data.groups import GroupTable
    from arcface_fair.data.training.dataset import FaceDataset


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run before its first step, and does not change.

    ``dataset`` gives identities and images by position. ``group_attribute``: the column of
    ``group_table`` that gives the steps' groups, as the config says it (None: the first).
    """

    config: Mapping[str, Any]
    dataset: FaceDataset
    group_table: GroupTable | None
    group_attribute: str | None
    num_classes: int  # C
    num_epochs: int
    total_steps: int
    batch_size: int  # B
    seed: int
    work_dir: Path  # the run's folder
    device: torch.device
    num_workers: int = 0
    skip_bad_images: bool = False


@dataclass(frozen=True, kw_only=True)
class BatchStep:
    """A step before the head was called: what is of this rank."""

    epoch: int  # from 0
    global_step: int  # from 1
    total_steps: int
    images: Tensor  # of this rank: float [B, 3, H, W] in -1..1
    labels: Tensor  # of this rank: int64 [B], class ids in 0..C-1
    groups: Tensor  # of this rank: int64 [B], -1 = unknown


@dataclass(frozen=True, kw_only=True)
class LossStep(BatchStep):
    """A step after the head: what is of the whole batch is equal on all ranks.

    ``images`` are those that the backbone saw.
    """

    embeddings: Tensor  # of this rank: [B, D], with a graph
    batch_labels: Tensor  # of the whole batch: int64 [N], class ids in 0..C-1
    batch_groups: Tensor  # of the whole batch: int64 [N], -1 = unknown
    ce: Tensor  # of the whole batch: [N] -log p of the label, with a graph
    entropy: Tensor  # of the whole batch: [N] nats, with a graph
    pmax: Tensor  # of the whole batch: [N] largest probability, 0..1, with a graph
    measure_cosine: Callable[[], Tensor] = field(repr=False)

    @cached_property
    def target_cosine(self) -> Tensor:
        """[N] cosine to the own class centre, before the margin, with a graph.

        Of the whole batch, equal on all ranks. It is computed when it is first asked for, with
        one small collective: ask on all ranks or on none.
        """
        return self.measure_cosine()

# SPDX-License-Identifier: MIT
"""When identities are partitioned anew, and with which weight the penalty counts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import (
    PARTITION,
    Partition,
    agreement,
    check_subsets,
    stage_path,
    subset_name,
)
from arcface_fair.plugin.parts import Hook, Penalty
from arcface_fair.plugin.session import Session
from invreg_plugin.config import InvRegSettings
from invreg_plugin.extraction import extract_features
from invreg_plugin.learning import LearnedPartition, learn_partition
from invreg_plugin.penalty import subset_means
from invreg_plugin.state import Partitions

LOGGER = logging.getLogger("arcface_fair.invreg")

# In the run's folder while a stage lasts, and after one that was interrupted.
FEATURES = "features.bin"


class PartitionStages(Hook):
    """The partitions of the run: makes those that are due, keeps all that were made."""

    def __init__(self, settings: InvRegSettings, partitions: Partitions, penalty: Penalty) -> None:
        self.settings = settings
        self.partitions = partitions
        self.penalty = penalty
        self._risks: Tensor | None = None  # [S, K], NaN where no row was seen yet

    def before_train(self, session: Session) -> None:
        """Publishes the newest partition that a checkpoint brought."""
        if stages := self.partitions.learned_stages:
            newest = max(stages, key=lambda stage: self.settings.stages[stage])
            session.shared[PARTITION] = self.partitions.subset[newest].cpu().numpy()

    def before_epoch(self, session: Session) -> None:
        """Makes every due stage that does not exist; a stage is redone, never skipped."""
        for stage, epoch in enumerate(self.settings.stages):
            if epoch <= session.epoch and not self.partitions.learned(stage):
                self._make(stage, session)
        self.penalty.weight = self.settings.weight_at(session.epoch)

    def after_loss(self, session: Session) -> None:
        """Offers curves: lambda, and every subset's risk, the cross entropy of its rows."""
        session.log("invreg/weight", self.penalty.weight)
        step = session.loss_step
        stages = self.partitions.learned_stages
        if not stages:
            return
        means = subset_means(
            step.ce.detach(), self.partitions.of_batch(step.batch_labels), self.partitions.largest
        )
        if self._risks is None or self._risks.shape != means.shape:
            self._risks = torch.full_like(means, torch.nan)
        # A subset that this batch lacks keeps its last value: asking whether would wait for the
        # device.
        self._risks = torch.where(means.isnan(), self._risks, means)
        for row, stage in enumerate(stages):
            for subset in range(self.partitions.num_subsets[stage]):
                tag = f"invreg/risk_stage_{stage + 1}_{subset_name(subset)}"
                session.log(tag, self._risks[row, subset])

    def _make(self, stage: int, session: Session) -> None:
        seed = session.run.seed if self.settings.seed is None else self.settings.seed
        num_subsets = self.settings.subsets_at(stage)
        partition = self._partition(stage, num_subsets, seed + stage, session)
        self._report(stage, partition, session)
        subset = torch.from_numpy(partition.subset)
        self.partitions.put(stage, subset, len(partition.names), seed + stage)
        session.shared[PARTITION] = partition.subset
        with dist.failing_together():
            if dist.rank() == 0:
                partition.write(stage_path(session.run.work_dir, stage + 1))

    def _partition(self, stage: int, num_subsets: int, seed: int, session: Session) -> Partition:
        kind = self.settings.partition_at(stage)
        if kind == "random":
            return Partition.random(session.run.num_classes, num_subsets, seed)
        if kind == "table":
            return Partition.of_codes(attribute_codes(session, self.settings.attribute))
        path = session.run.work_dir / FEATURES
        LOGGER.info("stage %d: features of %d images", stage + 1, session.run.dataset.num_images)
        with (
            extract_features(session, path, flip_average=self.settings.flip_average) as features,
            stage_bar(f"partition {stage + 1}") as progress,
        ):
            partition = learn_partition(
                features,
                session.run.dataset.identities,
                session.run.num_classes,
                self.settings,
                num_subsets=num_subsets,
                seed=seed,
                progress=progress,
                device=session.run.device,
            )
        # Only now: whatever stopped the learning, the features wait for the run that goes on.
        dist.barrier()
        if dist.rank() == 0:
            path.unlink(missing_ok=True)
        return partition.shuffled(seed) if kind == "shuffled" else partition

    def _report(self, stage: int, partition: Partition, session: Session) -> None:
        """Says how large the subsets are and what the partition agrees with."""
        if dist.rank() != 0:
            return
        objective = partition.objective if isinstance(partition, LearnedPartition) else math.nan
        LOGGER.info(
            "stage %d: subsets of %s identities, objective %.4f",
            stage + 1, partition.sizes, objective,
        )  # fmt: skip
        for earlier in range(stage):
            if self.partitions.learned(earlier):
                before = self.partitions.subset[earlier].cpu().numpy()
                nmi, match = agreement(partition.subset, before)
                LOGGER.info("stage %d against stage %d: NMI %.3f, match %.3f",
                            stage + 1, earlier + 1, nmi, match)  # fmt: skip
        table = session.run.group_table
        for name, attribute in (table.attributes if table is not None else {}).items():
            nmi, match = agreement(partition.subset, attribute.codes)
            LOGGER.info("stage %d against %s: NMI %.3f, match %.3f", stage + 1, name, nmi, match)


def check_stages(settings: InvRegSettings, session: Session) -> None:
    """Refuses, before the first step, what a stage would refuse hours later (UserError)."""
    late = [stage for stage in settings.stages if stage >= session.run.num_epochs]
    if late:
        raise UserError(
            f"invreg.stages lists epoch {late[0]}, but the run ends after epoch "
            f"{session.run.num_epochs - 1}; epochs count from 0, list earlier ones"
        )
    kinds = [settings.partition_at(stage) for stage in range(len(settings.stages))]
    images = np.bincount(session.run.dataset.identities, minlength=session.run.num_classes)
    for stage, kind in enumerate(kinds):
        if kind == "table":
            Partition.of_codes(attribute_codes(session, settings.attribute))
        else:
            check_subsets(settings.subsets_at(stage), int((images > 0).sum()))
    if {"learned", "shuffled"} & set(kinds) and images.max() < 2:
        raise UserError(
            f"none of {len(images)} identities has two images, expected some with at least two; "
            "partition learning compares images of one identity, use partition = 'random' or "
            "'table'"
        )


def attribute_codes(session: Session, name: str | None) -> np.ndarray:
    """The group table's column ``name`` (None: the first) as codes int64 [C].

    Raises UserError where there is no table or no such column.
    """
    table = session.run.group_table
    if table is None:
        raise UserError(
            "invreg.partition is 'table' but the run has no group table; "
            "set config.groups, or use partition = 'learned'"
        )
    return table[name or next(iter(table.attributes))].codes


@contextmanager
def stage_bar(title: str) -> Iterator[Callable[[int, int, float], None]]:
    """A bar that rank 0 shows; gives what moves it: (steps done, steps in all, objective)."""
    bar = tqdm(desc=title, unit="step", disable=dist.rank() != 0, leave=False, dynamic_ncols=True)

    def show(done: int, total: int, objective: float) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done % 20 == 0:
            bar.set_postfix_str(f"objective {objective:.4f}")

    try:
        yield show
    finally:
        bar.close()

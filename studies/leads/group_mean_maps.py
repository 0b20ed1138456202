# SPDX-License-Identifier: MIT
"""GABN whose adversarial term judges the average map of each group, not single maps.

    L_adv = mean over the groups of the batch of CE(classifier(mean of the group's GAMs), uniform)

GABN's figure 5 compares groups by their average maps, so this asks for what is shown: single maps
may differ as people do. A run lists it in place of ``gabn_plugin`` and sets the same block,
``config.gabn``; the classifier learns from average maps as well, one per group and step.

B rows on this rank, G groups. Averages are over the maps of all ranks, each map divided by its
mean first. They are gathered by a true adjoint, so every rank's gradient of the term, which all
ranks hold alike, is its share times the world size: what `Confusion` promises to DDP.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import ObjectiveScale, group_sums, relative_maps
from arcface_fair.errors import UserError
from arcface_fair.plugin.parts import Plugin
from arcface_fair.plugin.session import Session
from gabn_plugin import assemble
from gabn_plugin.adversarial import Confusion
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings as Settings
from gabn_plugin.step import BalanceStep
from gabn_plugin.watch import AttentionWatch

NAME = "gabn"
_FEWEST_GROUPS = 2  # in a batch: BatchNorm wants more than one average

__all__ = ["NAME", "Settings", "build"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of one run. Raises UserError without groups, or for a part that it leaves out."""
    if not settings.adversarial or settings.confidence or settings.objective != "term":
        raise UserError(
            "group_mean_maps has the adversarial term alone, with erasing if wanted; set "
            "gabn.adversarial = True, gabn.confidence = False and gabn.objective = 'term'"
        )
    names = _names(session)
    seed = session.run.seed if settings.seed is None else settings.seed
    classifier = MeanMapClassifier(settings, len(names), seed, session.run.device)
    scale, watch = ObjectiveScale(), AttentionWatch(names, session)
    balance = BalanceStep(
        settings, session, inner_margin=session.head.margin_softmax, unit=0.0, shifted=None,
        classifier=classifier, scale=scale, watch=watch,
    )  # fmt: skip
    balance.confusion = MeanMapConfusion(
        session.backbone, session.head, classifier, scale,
        share=settings.share, second_order=settings.second_order,
    )  # fmt: skip
    return assemble(settings, balance)


class MeanMapClassifier(MapClassifier):
    """Learns the group of an average map."""

    def learn(self, maps: Tensor, groups: Tensor, all_groups: Tensor) -> tuple[Tensor, Tensor]:
        """One step on the averages of the groups present; (loss, accuracy), NaN for one group."""
        means, present = mean_maps(maps.detach(), groups, self.num_groups)
        if len(present) < _FEWEST_GROUPS:
            nothing = maps.new_full((), torch.nan)
            return nothing, nothing
        return super().learn(means, present, present.repeat(dist.world_size()))


class MeanMapConfusion(Confusion):
    """L_adv over average maps."""

    def _local_sum(self, maps: Tensor, groups: Tensor, known: int) -> Tensor:
        """What `Confusion` multiplies by ranks / known: L_adv, equal on all ranks, over that."""
        means, present = mean_maps(maps, groups, self.classifier.num_groups)
        if len(present) < _FEWEST_GROUPS:
            return maps.sum() * 0
        return self.classifier.confusion(means).mean() * (known / dist.world_size())


def mean_maps(maps: Tensor, groups: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Average relative map [P, H, W] of each group present on any rank, and the groups [P].

    ``maps`` [B, H, W] and ``groups`` [B] (-1 unknown) of this rank. All ranks call together.
    """
    sums, counts = group_sums(relative_maps(maps), groups, num_groups)
    totals = dist.gather_rows(sums[None]).sum(0)
    counts = dist.gather_rows(counts[None]).sum(0)
    (present,) = torch.where(counts > 0)
    return totals[present] / counts[present, None, None], present


def _names(session: Session) -> tuple[str, ...]:
    table, attribute = session.run.group_table, session.group_attribute
    names: tuple[Any, ...] = () if table is None or attribute is None else table[attribute].names
    if len(names) < _FEWEST_GROUPS:
        raise UserError(
            f"group_mean_maps compares groups and the group table names {len(names)}, expected at "
            "least two; set config.groups and config.group_attribute"
        )
    return names

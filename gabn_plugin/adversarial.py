# SPDX-License-Identifier: MIT
"""L_adv as a term of the loss: its value, and its gradient through the attention maps.

    L_adv = mean over rows with a known group of CE(classifier(GAM_i), uniform)      (eq. 4)

Two ways to the same gradient, with v = d L_adv / d g and g the map's gradient d T / d x:

    exact       differentiates g once more (double backward)
    difference  d/dw <v, g> = d/dw [T(x + e v) - T(x - e v)] / 2e, two plain passes, no second
                derivative; e moves the most sensitive pixel by STEP

B rows on this rank, N rows of the gathered batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import (
    Attention,
    ObjectiveScale,
    attend,
    certainty,
    share_of_rows,
)
from arcface_fair.head import Active, PartialFC
from gabn_plugin.classifier import FEWEST_ROWS, MapClassifier

# Of the input range -1..1. Steps below 0.1 follow the exact gradient less well, not better: the
# network has kinks, whose crossings a short difference counts with a high variance (docs/gabn.md).
STEP = 0.5


class Confusion:
    """Computes L_adv for a backbone, a head and a classifier of maps."""

    def __init__(
        self,
        backbone: nn.Module,
        head: PartialFC,
        classifier: MapClassifier,
        scale: ObjectiveScale,
        *,
        share: float = 1.0,
        second_order: str = "exact",
    ) -> None:
        self.backbone, self.head, self.classifier, self.scale = backbone, head, classifier, scale
        self.share, self.second_order = share, second_order

    @property
    def uses_graph(self) -> bool:
        """Whether `term` wants the step's own pass to have been made with a graph."""
        return self.second_order == "exact" and self.share == 1

    def value(self, maps: Tensor, groups: Tensor, known: int) -> Tensor:
        """L_adv over all ranks from maps [B, H, W] that exist already; no graph, equal on all."""
        with torch.no_grad():
            total = self._local_sum(maps, groups, known)
            return dist.all_reduce_(total) / max(known, 1)

    def term(
        self,
        seen: Attention,
        images: Tensor,
        labels: Tensor,
        groups: Tensor,
        all_groups: Tensor,
        *,
        margin: Any,
        active: Active | None,
    ) -> Tensor:
        """L_adv with a graph to the backbone's and the head's weights; equal on all ranks.

        ``seen``: the step's clean pass, made with a graph if `uses_graph`. Only the first
        ``share`` of each rank's rows take part. ``all_groups`` [N] as gathered. The gradient is
        that of this rank's share times the world size, since DDP averages.
        """
        ranks = dist.world_size()
        rows = share_of_rows(len(images), self.share)
        known = int((all_groups.view(ranks, -1)[:, :rows] >= 0).sum())
        factor = ranks / max(known, 1)
        exact = self.second_order == "exact"
        groups, labels, images = groups[:rows], labels.reshape(-1)[:rows], images[:rows]
        with self._groups_of_head(rows):
            if self.share < 1:
                seen = attend(
                    self.backbone, self.head, images, labels,
                    margin=margin, active=active, create_graph=exact, scale=self.scale,
                )  # fmt: skip
            if exact:
                return _everywhere(factor * self._local_sum(seen.maps, groups, known))
            gradient = seen.gradient.detach().requires_grad_()
            local = factor * self._local_sum(gradient.abs().amax(1), groups, known)
            (direction,) = torch.autograd.grad(local, gradient)
            slope = self._slope(images, direction, labels, margin, active)
        return _everywhere(local.detach()) + slope - slope.detach()

    def _local_sum(self, maps: Tensor, groups: Tensor, known: int) -> Tensor:
        if known < FEWEST_ROWS:
            return maps.sum() * 0
        return self.classifier.confusion(maps[groups >= 0]).sum()

    def _slope(
        self, images: Tensor, direction: Tensor, labels: Tensor, margin: Any, active: Active | None
    ) -> Tensor:
        """<direction, g> by a central difference, with a graph to the weights."""
        largest = dist.all_reduce_(direction.abs().amax(), "max")
        step = STEP / largest.clamp_min(torch.finfo(largest.dtype).tiny)
        ends = []
        for moved, keep in ((images + step * direction, False), (images - step * direction, True)):
            # The same dropout in both passes, or its noise would be all that is left.
            devices = [images.device] if images.is_cuda else []
            with torch.random.fork_rng(devices=devices, enabled=not keep):
                ends.append(certainty(self.backbone, self.head, moved, labels, active, margin))
        return (ends[0] - ends[1]) / (2 * step)

    @contextmanager
    def _groups_of_head(self, rows: int) -> Iterator[None]:
        """The head's groups cut to the rows that take part."""
        kept = self.head.groups
        self.head.groups = None if kept is None else kept[:rows]
        try:
            yield
        finally:
            self.head.groups = kept


def _everywhere(local: Tensor) -> Tensor:
    """The mean of all ranks' ``local`` as value, this rank's own as gradient."""
    mean = dist.all_reduce_(local.detach().clone()) / dist.world_size()
    return mean + (local - local.detach())

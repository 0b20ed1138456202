# SPDX-License-Identifier: MIT
"""Average attention map, its area, and confidence per group, over an epoch and over training.

G groups, B rows on this rank, N rows of the gathered batch. Nothing here changes the run.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import (
    Attention,
    group_sums,
    half_mass_area,
    relative_maps,
)
from arcface_fair.plugin.parts import Hook
from arcface_fair.plugin.session import Session

_MEMORY = 0.98  # of the running confidence, per step


class AttentionWatch(Hook):
    """Maps and confidence per group; written at the end of every epoch.

    To TensorBoard go the average maps as images and their areas, to
    ``gabn/maps_epoch_N.npz`` the arrays. A resume inside an epoch counts from there on.
    """

    def __init__(self, names: tuple[str, ...], session: Session) -> None:
        self.names, self.session = names, session
        self.count = len(names)
        self.confidence = torch.zeros(2, self.count, device=session.run.device)
        self._reset()

    def _reset(self) -> None:
        self.maps: Tensor | None = None
        self.counts = torch.zeros(self.count, device=self.session.run.device)

    def see(self, seen: Attention, groups: Tensor) -> None:
        """Adds this rank's maps, each divided by its mean."""
        if self.count == 0:
            return
        sums, counts = group_sums(relative_maps(seen.maps.detach()), groups, self.count)
        self.maps = sums if self.maps is None else self.maps + sums
        self.counts += counts

    def see_confidence(self, pmax: Tensor, all_groups: Tensor) -> None:
        """Offers each group's recent mean of pmax [N] as a curve (Figure 3)."""
        if self.count == 0:
            return
        sums, counts = group_sums(pmax.float(), all_groups, self.count)
        self.confidence.mul_(_MEMORY).add_(torch.stack([sums, counts]))
        recent = self.confidence[0] / self.confidence[1].clamp_min(1e-9)
        for name, value in zip(self.names, recent, strict=True):
            self.session.log(f"gabn/confidence/{name}", value)

    def after_epoch(self, session: Session) -> None:
        """Averages over ranks and writes, on rank 0."""
        if self.maps is None:
            return
        maps, counts = dist.all_reduce_(self.maps), dist.all_reduce_(self.counts)
        if dist.rank() == 0:
            self._write(maps, counts, session)
        self._reset()

    def _write(self, maps: Tensor, counts: Tensor, session: Session) -> None:
        there = [g for g in range(self.count) if counts[g] > 0]
        averages = (maps[there] / counts[there, None, None]).cpu()
        if not there:
            return
        folder = session.run.work_dir / "gabn"
        folder.mkdir(parents=True, exist_ok=True)
        names = [self.names[g] for g in there]
        np.savez(
            folder / f"maps_epoch_{session.epoch + 1}.npz",
            maps=averages.numpy(),
            names=np.array(names),
            images=counts[there].cpu().numpy().astype(np.int64),
        )
        top = averages.amax((1, 2), keepdim=True).clamp_min(1e-9)
        areas = half_mass_area(averages)
        for name, image, area in zip(names, averages / top, areas, strict=True):
            session.log(f"gabn/attention/{name}", image[None])
            session.log(f"gabn/attention_area/{name}", area)

# SPDX-License-Identifier: MIT
"""GABN (CVPRW 2023): balances what a network attends to, and how sure it is, across groups.

A run that lists ``gabn_plugin`` in ``config.plugins`` erases parts of its images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.penalties import Augmentation
from arcface_fair.plugins import Plugin
from arcface_fair.session import Session, Step
from gabn_plugin.config import GabnSettings as Settings
from gabn_plugin.erasing import erase, random_pixels, random_sides, rectangle_mask

NAME = "gabn"

__all__ = ["NAME", "Settings", "build"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of GABN for one run."""

    def random_erasure(step: Step) -> Tensor:
        batch, _, tall, wide = step.images.shape
        generator = torch.Generator().manual_seed(session.seed * 1_000_003 + step.global_step)
        ranks = dist.world_size()
        centres = random_pixels(batch * ranks, settings.rectangles, tall * wide, generator)
        heights, widths = random_sides(
            batch * ranks, settings.rectangles, settings.height, settings.width, generator
        )
        own = slice(dist.rank() * batch, (dist.rank() + 1) * batch)
        drawn = (t[own].to(step.images.device) for t in (centres, heights, widths))
        return erase(step.images, rectangle_mask(*drawn, (tall, wide)), settings.fill)

    return Plugin(name=NAME, augmentations=(Augmentation("random_erasure", random_erasure),))

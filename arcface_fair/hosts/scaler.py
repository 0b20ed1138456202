# SPDX-License-Identifier: MIT
"""A step that one rank must skip is skipped by all: overflow is agreed between ranks.

Each rank holds other class centres, so a gradient may overflow on one rank alone. Without
agreement that rank halves its loss scale and skips, the others step, and the shards no longer
belong to one model.
"""

from __future__ import annotations

import torch

from arcface_fair import dist


def agree_on_inf(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> None:
    """Makes every rank's found_inf the largest over ranks.

    Called by all ranks after ``scaler.unscale_(optimizer)`` and before ``scaler.step``; one
    all-reduce of a number. Does nothing for a scaler that is switched off.
    """
    if not scaler.is_enabled():
        return
    # The scaler has no public way to its flags; torch's own sharded scaler uses the same.
    for flag in scaler._found_inf_per_device(optimizer).values():
        dist.all_reduce_(flag, "max")


class AgreedGradScaler(torch.amp.GradScaler):
    """A GradScaler whose ``unscale_`` (and so ``step``) agrees with the other ranks."""

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        """Divides the gradients by the scale and agrees on whether any is not finite."""
        super().unscale_(optimizer)
        agree_on_inf(self, optimizer)


def build_scaler(*, enabled: bool, device_type: str = "cuda") -> AgreedGradScaler:
    """The scaler of a run; disabled (a factor of one) unless the run computes in float16.

    Grows every 100 good steps, as upstream's does.
    """
    return AgreedGradScaler(device_type, enabled=enabled, growth_interval=100)

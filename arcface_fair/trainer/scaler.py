# SPDX-License-Identifier: MIT
"""Loss scaling on which all ranks agree.

The backbone's gradients are averaged and thus equal on all ranks, but every rank holds its own
class centres: one shard's gradient can overflow while the others' do not. A step that one rank
must skip, all ranks skip.
"""

from __future__ import annotations

import torch

from arcface_fair import dist


class AgreedGradScaler(torch.amp.GradScaler):
    """`torch.amp.GradScaler` whose found-infinity flags are the maximum over the ranks."""

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        """Divides the gradients by the scale; one all-reduce of a scalar per device."""
        super().unscale_(optimizer)
        if self.is_enabled():
            for flag in self._found_inf_per_device(optimizer).values():
                dist.all_reduce_(flag, "max")


def build_scaler(*, enabled: bool, device_type: str = "cuda") -> AgreedGradScaler:
    """The scaler of a run; disabled (a factor of one) unless the run computes in float16.

    Grows every 100 good steps, as upstream's does.
    """
    return AgreedGradScaler(device_type, enabled=enabled, growth_interval=100)

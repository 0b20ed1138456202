# SPDX-License-Identifier: MIT
"""Replaces pixels of some images of a batch by those of others; what is drawn, and the masks.

B images on this rank. Every rank draws for the whole batch and keeps its rows, so that all draws
differ between ranks and repeat in a resumed run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arcface_fair import dist


def own_uniforms(batch: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers [B, columns] in 0..1 of this rank's rows, float64."""
    drawn = torch.rand(batch * dist.world_size(), columns, generator=generator, dtype=torch.float64)
    return drawn[dist.rank() * batch : (dist.rank() + 1) * batch]


def whole(uniforms: Tensor, count: int) -> Tensor:
    """Whole numbers 0..count-1 from uniforms of any shape."""
    return (uniforms * count).long().clamp(max=count - 1)


def other_rows(uniforms: Tensor) -> Tensor:
    """For every row another row of the batch, int64 [B], from uniforms [B]; itself if alone."""
    count = len(uniforms)
    steps = 1 + (uniforms * (count - 1)).long().clamp(max=max(count - 2, 0))
    return (torch.arange(count, device=uniforms.device) + steps) % count


def rows_among(chosen: Tensor, uniforms: Tensor) -> Tensor:
    """For every row one of the rows where ``chosen`` [B] holds; without any, another row.

    The device is not waited for.
    """
    first = torch.argsort((~chosen).int(), stable=True)
    count = chosen.sum()
    place = (uniforms * count).long().clamp(min=0)
    place = torch.minimum(place, (count - 1).clamp(min=0))
    return torch.where(count > 0, first[place], other_rows(uniforms))

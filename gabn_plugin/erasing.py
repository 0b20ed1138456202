# SPDX-License-Identifier: MIT
"""Erases random rectangles about the most sensitive pixels (GAM-SFRE), or about any pixels.

B images, R rectangles per image, H W height and width. Source: GABN, section 3.4, Algorithm 1;
the rectangles' sides are drawn from 1..largest, each rectangle anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arcface_fair.errors import UserError


def most_sensitive(maps: Tensor, count: int) -> Tensor:
    """Flat indices [B, count] of the largest values of ``maps`` [B, H, W]."""
    return maps.detach().flatten(1).topk(min(count, maps[0].numel()), sorted=False).indices


def random_pixels(batch: int, count: int, pixels: int, generator: torch.Generator) -> Tensor:
    """Flat indices [batch, count], uniform over ``pixels``: the control of Table 4."""
    return torch.randint(pixels, (batch, count), generator=generator)


def random_sides(
    batch: int, count: int, height: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Heights 1..height and widths 1..width in pixels, each int64 [batch, count]."""
    heights = torch.randint(1, height + 1, (batch, count), generator=generator)
    widths = torch.randint(1, width + 1, (batch, count), generator=generator)
    return heights, widths


def rectangle_mask(
    centres: Tensor, heights: Tensor, widths: Tensor, size: tuple[int, int]
) -> Tensor:
    """True where any rectangle of the image lies, [B, H, W].

    ``centres`` [B, R] flat indices, ``heights`` and ``widths`` [B, R] pixels, ``size`` (H, W).
    Rectangles are cut at the border. One pass of two cumulative sums over corner counts, so that
    the work does not grow with the rectangles' area and no image is looped over.
    """
    tall, wide = size
    top = centres // wide - (heights - 1) // 2
    left = centres % wide - (widths - 1) // 2
    bottom, right = (top + heights).clamp(max=tall), (left + widths).clamp(max=wide)
    top, left = top.clamp(min=0), left.clamp(min=0)
    corners = centres.new_zeros(len(centres), (tall + 1) * (wide + 1), dtype=torch.int32)
    one = torch.ones_like(centres, dtype=torch.int32)
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1)):
        corners.scatter_add_(1, row * (wide + 1) + column, sign * one)
    corners.scatter_add_(1, bottom * (wide + 1) + right, one)
    counts = corners.view(-1, tall + 1, wide + 1).cumsum(1).cumsum(2)
    return counts[:, :tall, :wide] > 0


def erase(images: Tensor, mask: Tensor, fill: float) -> Tensor:
    """``images`` [B, 3, H, W] with ``fill`` where ``mask`` [B, H, W]; a new tensor."""
    return images.masked_fill(mask[:, None], fill)


def check_rectangles(height: int, width: int, size: tuple[int, int]) -> None:
    """Raises UserError for a rectangle that does not fit into the image."""
    for key, side, limit in (("height", height, size[0]), ("width", width, size[1])):
        if side > limit:
            raise UserError(
                f"gabn.{key} is {side} pixels but the images have {limit}, expected a rectangle "
                "that fits into the image; use 10"
            )

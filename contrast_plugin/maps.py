# SPDX-License-Identifier: MIT
"""Where the easy subset looks and the others do not.

    g = max over channels |d pmax / d x|                                            (sensitivity)
    g = max over channels |d pmax / d x| * max over channels |x - x over its box|   (effect)
    D = mean over the easy subset of log g - mean over the other subsets of log g

each g averaged over a box of pixels, divided by its mean and made symmetric first. pmax is without
margin, the network in eval mode; d log pmax and d pmax differ by a factor per image, which the
division takes out. The effect is, to first order, what blurring the pixel would do: a network's
first filters are sensitive to a flat cheek or wall too, which tells it nothing. Logarithms, because
a few images have most of the mass. K subsets, n images, H W height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import (
    ObjectiveScale,
    attend,
    group_sums,
    plain_margin,
    relative_maps,
)
from arcface_fair.head import PartialFC
from arcface_fair.plugin.partition import NOT_ASSIGNED

_SURROUNDINGS = 31  # side of the box that local contrast is against, pixels
_SMALLEST = 1e-6  # of a map with mean 1; where a network cannot look at all, its logarithm exists


@dataclass(frozen=True)
class SubsetMaps:
    """maps: float32 [K, H, W], the geometric mean of each subset's g, mirror images of themselves.

    faces: float32 [K, 3, H, W], the average image, -1..1.  images: int64 [K].
    """

    maps: Tensor
    faces: Tensor
    images: Tensor

    def contrast(self, easy: int) -> Tensor:
        """D [H, W]: log of the easy map minus the mean log of the others; zeros without others."""
        others = [k for k in range(len(self.maps)) if k != easy and self.images[k] > 0]
        if not others:
            return torch.zeros_like(self.maps[easy])
        logs = self.maps.clamp_min(_SMALLEST).log()
        return logs[easy] - logs[others].mean(0)


def smoothed(maps: Tensor, side: int) -> Tensor:
    """``maps`` [n, ..., H, W] averaged over a box of ``side`` pixels, cut at the border."""
    planes = maps.reshape(-1, 1, *maps.shape[-2:])
    return avg_pool2d(planes, side, 1, side // 2, count_include_pad=False).view_as(maps)


def local_contrast(images: Tensor) -> Tensor:
    """How far pixels are from their surroundings' mean, the largest over channels: [n, H, W]."""
    return (images - smoothed(images, _SURROUNDINGS)).abs().amax(1)


def map_positions(
    identities: np.ndarray, subset_of_class: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions of ``count`` random images of every subset, all where there are fewer; sorted."""
    subset = subset_of_class[identities]
    chosen = [
        rng.permutation(np.flatnonzero(subset == k))[:count]
        for k in np.unique(subset[subset != NOT_ASSIGNED])
    ]
    return np.sort(np.concatenate(chosen))


def subset_maps(
    backbone: nn.Module,
    head: PartialFC,
    images: Tensor,
    labels: Tensor,
    subsets: Tensor,
    *,
    num_subsets: int,
    smooth: int,
    measure: str,
    batch_size: int,
) -> SubsetMaps:
    """Averages over all ranks' images; call it on all, with as many rows on each.

    images: float [n, 3, H, W]; labels: int64 [n]; subsets: int64 [n], -1 leaves a row out.
    measure: effect | sensitivity. ``backbone`` is in eval mode. Equal on all ranks.
    """
    faces, counts = group_sums(images.float(), subsets, num_subsets)
    for total in (faces, counts):
        dist.all_reduce_(total)
    faces = faces / counts.clamp_min(1)[:, None, None, None]
    sums = torch.zeros(num_subsets, *images.shape[-2:], device=images.device)
    margin, scale = plain_margin(head.margin_softmax), ObjectiveScale()
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        seen = attend(backbone, head, images[rows], labels[rows], margin=margin, scale=scale)
        maps = seen.maps
        if measure == "effect":
            maps = maps * local_contrast(images[rows])
        values = relative_maps(smoothed(maps, smooth))
        logs = ((values + values.flip(2)) / 2).clamp_min(_SMALLEST).log()
        sums = sums + group_sums(logs, subsets[rows], num_subsets)[0]
    dist.all_reduce_(sums)
    return SubsetMaps((sums / counts.clamp_min(1)[:, None, None]).exp(), faces, counts.long())

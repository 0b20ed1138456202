# SPDX-License-Identifier: MIT
"""Where the easy subset looks and the others do not.

    g = max over channels |d pmax / d x|, averaged over a box, divided by its mean
    D = mean of g over the easy subset - mean over the other subsets, each of mirrored pairs

pmax without margin, eval mode. d log pmax and d pmax differ by a factor per image, which the
division takes out. K subsets, n images, H W height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from arcface_fair import dist
from arcface_fair.attention import ObjectiveScale, attend, group_sums, plain_margin, relative_maps
from arcface_fair.head import PartialFC


@dataclass(frozen=True)
class SubsetMaps:
    """maps: float32 [K, H, W], mean attention of each subset, mirror images of themselves, mean 1.

    faces: float32 [K, 3, H, W], the average image, -1..1.  images: int64 [K].
    """

    maps: Tensor
    faces: Tensor
    images: Tensor

    def contrast(self, easy: int) -> Tensor:
        """D [H, W]: the easy subset's map minus the mean of the others'; zeros without others."""
        others = [k for k in range(len(self.maps)) if k != easy and self.images[k] > 0]
        if not others:
            return torch.zeros_like(self.maps[easy])
        return self.maps[easy] - self.maps[others].mean(0)


def smoothed(maps: Tensor, side: int) -> Tensor:
    """``maps`` [n, H, W] averaged over a box of ``side`` pixels, cut at the border."""
    return avg_pool2d(maps[:, None], side, 1, side // 2, count_include_pad=False)[:, 0]


def map_positions(
    identities: np.ndarray, subset_of_class: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions of ``count`` random images of every subset, all where there are fewer; sorted."""
    subset = subset_of_class[identities]
    chosen = [
        rng.permutation(np.flatnonzero(subset == k))[:count]
        for k in np.unique(subset[subset != 255])
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
    batch_size: int,
) -> SubsetMaps:
    """Averages over all ranks' images; call it on all, with as many rows on each.

    images: float [n, 3, H, W]; labels: int64 [n]; subsets: int64 [n], -1 leaves a row out.
    ``backbone`` is in eval mode. Equal on all ranks.
    """
    size = images.shape[-2:]
    sums = torch.zeros(num_subsets, *size, device=images.device)
    faces = torch.zeros(num_subsets, 3, *size, device=images.device)
    counts = torch.zeros(num_subsets, device=images.device)
    margin, scale = plain_margin(head.margin_softmax), ObjectiveScale()
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        seen = attend(backbone, head, images[rows], labels[rows], margin=margin, scale=scale)
        values = relative_maps(smoothed(seen.maps, smooth))
        both = (values + values.flip(2)) / 2
        part, count = group_sums(both, subsets[rows], num_subsets)
        sums, counts = sums + part, counts + count
        faces = faces + group_sums(images[rows].float(), subsets[rows], num_subsets)[0]
    for total in (sums, faces, counts):
        dist.all_reduce_(total)
    divisor = counts.clamp_min(1)
    return SubsetMaps(
        sums / divisor[:, None, None], faces / divisor[:, None, None, None], counts.long()
    )

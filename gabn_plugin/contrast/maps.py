# SPDX-License-Identifier: MIT
"""Where the easy subset looks and the others do not.

    g = max over channels |d pmax / d x|                                    (sensitivity)
    g = max over channels |d pmax / d x| * max over channels |x - average|  (effect)
    D = mean over the easy subset of g, averaged over a box and divided by its mean, minus the
        same of the other subsets, both made symmetric

pmax is without margin, the network in eval mode. d log pmax and d pmax differ by a factor per
image, which the division takes out. The effect is, to first order, what replacing a pixel by the
average one does: a network's first filters are sensitive to grey walls too. ``average`` is that
of all subsets' average images and of their mirror images. K subsets, n images, H W height and
width.
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
    average = faces[counts > 0].mean(0)
    average = (average + average.flip(2)) / 2
    sums = torch.zeros(num_subsets, *images.shape[-2:], device=images.device)
    margin, scale = plain_margin(head.margin_softmax), ObjectiveScale()
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        seen = attend(backbone, head, images[rows], labels[rows], margin=margin, scale=scale)
        maps = seen.maps
        if measure == "effect":
            maps = maps * (images[rows] - average).abs().amax(1)
        values = relative_maps(smoothed(maps, smooth))
        both = (values + values.flip(2)) / 2
        sums = sums + group_sums(both, subsets[rows], num_subsets)[0]
    dist.all_reduce_(sums)
    return SubsetMaps(sums / counts.clamp_min(1)[:, None, None], faces, counts.long())

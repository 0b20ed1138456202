# SPDX-License-Identifier: MIT
"""How easily the images of each subset are recognised.

    gap_i = cos(e_i, own class mean without i) - mean of the 5 largest cos(e_i, other class means)

A shortcut makes images easy, so the subset with the larger mean gap is the one that takes it, and
the difference between subsets is what the gate looks at. Ours; found by experiment.
n images, m identities, K subsets, D embedding size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair.plugin.partition import NOT_ASSIGNED

_RIVALS = 5
_IMAGES = 8  # of one identity, at most
_ROWS = 4096  # of the similarity matrix at a time


@dataclass(frozen=True)
class Gaps:
    """mean, error: by subset, the mean gap and its standard error over identities; NaN = none.

    difference: largest minus smallest mean, -2..2, with its standard error ``doubt``.
    easy: the subset with the largest mean.
    """

    mean: tuple[float, ...]
    error: tuple[float, ...]
    difference: float
    doubt: float
    easy: int


def gap_positions(
    identities: np.ndarray, subset_of_class: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions of the images to embed: at most ``most`` identities, each with 2..8 images.

    identities: int [N], of every image; subset_of_class: uint8 [C], 255 = none. Where there are
    more, every subset gives about as many identities. Sorted.
    """
    images = np.bincount(identities, minlength=len(subset_of_class))
    usable = np.flatnonzero((images > 1) & (subset_of_class != NOT_ASSIGNED))
    if len(usable) > most:
        subsets = np.unique(subset_of_class[usable])
        chosen = [
            rng.permutation(usable[subset_of_class[usable] == subset])[: most // len(subsets)]
            for subset in subsets
        ]
        usable = np.concatenate(chosen)
    order = rng.permutation(len(identities))
    order = order[np.isin(identities[order], usable)]
    grouped = order[np.argsort(identities[order], kind="stable")]
    owners = identities[grouped]
    first = np.searchsorted(owners, owners, side="left")
    return np.sort(grouped[np.arange(len(grouped)) - first < _IMAGES])


def image_gaps(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gap of every image [n], NaN for an identity's only image, and labels as given.

    embeddings: float [n, D], of length 1; labels: int64 [n], of at least two identities.
    """
    classes, place = labels.unique(return_inverse=True)
    sums = embeddings.new_zeros(len(classes), embeddings.shape[1]).index_add_(0, place, embeddings)
    counts = torch.bincount(place, minlength=len(classes))[place]
    own = (embeddings * normalize(sums[place] - embeddings)).sum(1)
    centres, rivals = normalize(sums), []
    for start in range(0, len(embeddings), _ROWS):
        rows = slice(start, start + _ROWS)
        cosines = embeddings[rows] @ centres.T
        cosines.scatter_(1, place[rows, None], -torch.inf)
        rivals.append(cosines.topk(min(_RIVALS, len(classes) - 1), 1).values.mean(1))
    gaps = own - torch.cat(rivals)
    return gaps.masked_fill(counts < 2, torch.nan), labels


def subset_gaps(embeddings: Tensor, labels: Tensor, subset_of_class: np.ndarray) -> Gaps | None:
    """The subsets' gaps from embeddings [n, D] and labels [n]; None with less than two subsets."""
    if labels.unique().numel() < 2:
        return None
    values = image_gaps(embeddings, labels)[0].double().cpu().numpy()
    own = labels.cpu().numpy()
    there = ~np.isnan(values)
    classes, place = np.unique(own[there], return_inverse=True)
    # An identity counts by its images; its mean is what varies from identity to identity.
    counts = np.bincount(place)
    means = np.bincount(place, values[there]) / counts
    subset = subset_of_class[classes]
    subsets = int(subset_of_class[subset_of_class != NOT_ASSIGNED].max(initial=0)) + 1
    mean, error = [math.nan] * subsets, [math.nan] * subsets
    for k in range(subsets):
        inside = subset == k
        if inside.any():
            mean[k] = float(np.average(means[inside], weights=counts[inside]))
            spread = float(means[inside].std(ddof=1)) if inside.sum() > 1 else math.inf
            error[k] = spread / math.sqrt(inside.sum())
    known = [k for k in range(subsets) if not math.isnan(mean[k])]
    if len(known) < 2:
        return None
    high, low = max(known, key=lambda k: mean[k]), min(known, key=lambda k: mean[k])
    doubt = math.hypot(error[high], error[low])
    return Gaps(tuple(mean), tuple(error), mean[high] - mean[low], doubt, high)

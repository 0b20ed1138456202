# SPDX-License-Identifier: MIT
"""The published partition procedure, written plainly, as the side to compare with.

What the INV-REG release does (its behaviour, in our own words and code): all features in memory
as float64; batches of neighbouring image pairs; five passes that train a 512-512-128 head by the
supervised contrastive loss; fifteen passes that train the scores M [C, K] by dense Adam through
[N, N] matrices of weights, one per subset. Same objective as invreg_plugin/objective.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

BATCH, TEMPERATURE = 2048, 0.3
HEAD_PASSES, PARTITION_PASSES = 5, 15


def batches(num_images: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """One pass over neighbouring pairs of images in shuffled order, BATCH images at a time."""
    pairs = generator.permutation(num_images // 2)
    positions = np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()
    for start in range(0, len(positions), BATCH):
        yield positions[start : start + BATCH]


def masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """positive, negative [N, N] as float32; a row is not its own positive."""
    same = labels[:, None] == labels[None]
    itself = torch.eye(len(labels), dtype=torch.bool)
    return (same & ~itself).float(), (~same).float()


def head_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss (arXiv 2004.11362)."""
    positive, negative = masks(labels)
    scores = outputs @ outputs.T / TEMPERATURE
    total = (scores.exp() * (positive + negative)).sum(1, keepdim=True)
    count = positive.sum(1)
    rows = (positive * (total.log() - scores)).sum(1) / count.clamp_min(1)
    return rows[count > 0].mean()


def subset_risk(outputs: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """L_k of math.md section 3 with weights spelt out as an [N, N] matrix; weight [N]."""
    positive, negative = masks(labels)
    scores = outputs @ outputs.T / TEMPERATURE
    weights = negative * weight[None].expand(len(labels), -1)
    weights = negative.sum(1, keepdim=True) * weights / weights.sum(1, keepdim=True)
    powers = scores.exp()
    total = (positive * powers).sum(1, keepdim=True) + (weights * powers).sum(1, keepdim=True)
    count = positive.sum(1)
    rows = (positive * (total.log() - scores)).sum(1) / count.clamp_min(1)
    kept = (count > 0).float() * weight
    return (kept * rows).sum() / kept.sum()


def train_head(features: np.ndarray, labels: Tensor, generator: np.random.Generator) -> nn.Module:
    """Five passes of Adam."""
    head = nn.Sequential(nn.Linear(features.shape[1], 512), nn.ReLU(), nn.Linear(512, 128))
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(HEAD_PASSES):
        for positions in batches(len(features), generator):
            rows = torch.from_numpy(features[positions]).float()
            loss = head_loss(normalize(head(rows)), labels[positions])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return head


def published_partition(
    features: np.ndarray,
    identities: np.ndarray,
    num_classes: int,
    subsets: int,
    seed: int,
    with_head: bool = True,
) -> np.ndarray:
    """Hard subset of every identity, int64 [C]; features float64 [N, D].

    Without the head the scores are trained on the features themselves: less work, and the form
    that finds the attribute where a head that trains well has removed it from its outputs.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    labels = torch.from_numpy(identities)
    head = train_head(features, labels, generator) if with_head else nn.Identity()
    scores = nn.Parameter(torch.randn(num_classes, subsets))
    optimiser = torch.optim.Adam([scores], lr=0.5)
    for index in range(PARTITION_PASSES):
        optimiser.param_groups[0]["lr"] = 0.5 * 0.2 ** (5 * index // PARTITION_PASSES)
        for positions in batches(len(features), generator):
            with torch.no_grad():
                rows = torch.from_numpy(features[positions]).float()
                outputs = normalize(head(rows))
            weight = scores.softmax(1)[labels[positions]]
            risks = torch.stack(
                [subset_risk(outputs, labels[positions], weight[:, k]) for k in range(subsets)]
            )
            share = weight.mean(0)
            loss = -(risks.mean() + 0.2 * risks.var()) + (share * share.log()).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return scores.argmax(1).numpy()

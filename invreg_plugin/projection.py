# SPDX-License-Identifier: MIT
"""Trains the optional projection head whose outputs, not the features, are partitioned.

The released code of INV-REG trains such a head (512-512-128, five passes, supervised contrastive
loss) before every partition; it is off by default because the partition finds the same without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from arcface_fair import dist
from invreg_plugin.batches import Batch, ClassBalancedBatches

if TYPE_CHECKING:
    from invreg_plugin.learning import Features

HIDDEN, OUTPUT, PASSES, RATE = 512, 128, 5, 1e-3


def train(
    source: Features,
    batches: ClassBalancedBatches,
    temperature: float,
    seed: int,
    device: torch.device,
) -> Callable[[Tensor], Tensor]:
    """A function from features [n, D] to L2-normalised outputs [n, 128], the same on all ranks."""
    head = _head(source.shape[1], seed).to(device)
    optimiser = torch.optim.Adam(head.parameters(), lr=RATE)
    for index in range(PASSES):
        for batch in batches.one_pass(index):
            _step(head, optimiser, source, batch, temperature, device)
    for tensor in head.state_dict().values():
        dist.broadcast_(tensor)
    return lambda features: _outputs(head, features)


def _head(size: int, seed: int) -> nn.Sequential:
    """D-512-128 with Xavier-uniform weights drawn from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    head = nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUT))
    for name, parameter in head.named_parameters():
        if name.endswith("weight"):
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)
    return head


@torch.no_grad()
def _outputs(head: nn.Module, features: Tensor) -> Tensor:
    return normalize(head(normalize(features)))


def _step(
    head: nn.Module,
    optimiser: torch.optim.Optimizer,
    source: Features,
    batch: Batch,
    temperature: float,
    device: torch.device,
) -> None:
    """One step on the whole batch: each rank takes its rows, the gradients are summed."""
    features = torch.from_numpy(source.read(batch.positions)).to(device)
    slots = torch.from_numpy(batch.slots).to(device)
    size, ranks, rank = len(slots), dist.world_size(), dist.rank()
    rows = slice(size * rank // ranks, size * (rank + 1) // ranks)
    optimiser.zero_grad(set_to_none=False)
    loss = contrastive_loss(normalize(head(normalize(features))), slots, rows, temperature)
    loss.backward()
    for parameter in head.parameters():
        if parameter.grad is not None:
            dist.all_reduce_(parameter.grad)
    optimiser.step()


def contrastive_loss(outputs: Tensor, slots: Tensor, rows: slice, temperature: float) -> Tensor:
    """This rank's share of the mean supervised contrastive loss (arXiv 2004.11362, L_out).

    outputs [N, D] L2-normalised, slots [N] int64. The shares of all ranks add up to the mean over
    the rows that have a positive; 0 where no row has one.
    """
    same = slots[rows, None] == slots[None]
    itself = torch.zeros_like(same)
    itself[torch.arange(len(same)), torch.arange(len(slots))[rows]] = True
    scores = (outputs[rows] @ outputs.T / temperature).masked_fill(itself, -torch.inf)
    positive = same & ~itself
    count = positive.sum(1)
    mean_positive = scores.masked_fill(~positive, 0).sum(1) / count.clamp_min(1)
    risks = scores.logsumexp(1) - mean_positive
    usable = int((slots.bincount()[slots] > 1).sum())
    return risks[count > 0].sum() / max(usable, 1)

# SPDX-License-Identifier: MIT
"""The miniature's sampler: torch's, with a seed on which the ranks agree."""
import torch
from torch import distributed
from torch.utils.data import DistributedSampler as TorchSampler


class DistributedSampler(TorchSampler):
    def __init__(self, dataset, seed=0):
        super().__init__(dataset, shuffle=True, drop_last=True)
        self.seed = agreed(seed, "cuda")


def agreed(seed, device):
    value = torch.tensor(seed, dtype=torch.int32, device=device)
    distributed.broadcast(value, src=0)
    return value.item()

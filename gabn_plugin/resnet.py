# SPDX-License-Identifier: MIT
"""ResNet-18 for maps of one channel, whose BatchNorm sees the rows of all ranks.

Architecture: arXiv 1512.03385, table 1 (18 layers), with one channel in, as GABN has it
(section 3.3). With several ranks it computes what one process would with all rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from arcface_fair import dist

BLOCKS_PER_STAGE = (2, 2, 2, 2)


class RankBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the rows of all ranks in train mode; ranks may hold different numbers."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, S, S], B >= 0 -> the same."""
        if not self.training or dist.world_size() == 1:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        count = x.new_tensor([x.numel() / self.num_features])
        sums = torch.cat([x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), count])
        totals = dist.sum_over_ranks(sums)
        mean, square = (totals[:-1] / totals[-1].detach()).chunk(2)
        variance = (square - mean * mean).clamp_min(0)
        with torch.no_grad():
            unbiased = variance * (totals[-1] / (totals[-1] - 1))
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(unbiased, self.momentum or 0.0)
        gain = self.weight * (variance + self.eps).rsqrt()
        offset = self.bias - mean * gain
        return x * gain[:, None, None] + offset[:, None, None]


class _Block(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = RankBatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = RankBatchNorm(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), RankBatchNorm(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class MapNet(nn.Module):
    """Maps [B, 1, S, S] -> scores [B, num_groups].

    width: channels of the first stage, doubled at each of the other three; 64 is ResNet-18.
    seed: of the first weights; the global generator is left as it was.
    """

    def __init__(self, num_groups: int, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(1, width, 7, 2, padding=3, bias=False)
            self.bn1 = RankBatchNorm(width)
            self.pool = nn.MaxPool2d(3, 2, padding=1)
            self.stages = nn.Sequential(*_stages(width))
            self.fc = nn.Linear(width * 8, num_groups)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, maps: Tensor) -> Tensor:
        """[B, 1, S, S] float32 -> [B, num_groups]; B may be 0."""
        x = self.pool(relu(self.bn1(self.conv1(maps))))
        return self.fc(self.stages(x).mean((2, 3)))


def _stages(width: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    width_in = width
    for stage, depth in enumerate(BLOCKS_PER_STAGE):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(_Block(width_in, width << stage, stride))
            width_in = width << stage
    return blocks

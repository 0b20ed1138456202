# SPDX-License-Identifier: MIT
"""The classifier that tells groups from attention maps, trained in turn with the backbone.

Network: ResNet-18 (arXiv 1512.03385, table 1) with one channel in, as GABN has it (section 3.3).
B rows on this rank, G groups. With several ranks it computes what one process would with all rows,
and its weights are the same on every rank after every step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, log_softmax, relu

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import frozen, relative_maps, statistics_held
from arcface_fair.errors import UserError
from gabn_plugin.config import GabnSettings

# Rows with a known group that a step needs over all ranks: BatchNorm wants more than one.
FEWEST_ROWS = 2
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


class MapClassifier:
    """Network, SGD and schedule of GAM-CT's discriminator (GABN, section 3.3 and 4.1)."""

    def __init__(
        self, settings: GabnSettings, num_groups: int, seed: int, device: torch.device
    ) -> None:
        self.settings, self.num_groups = settings, num_groups
        self.network = MapNet(num_groups, settings.classifier_width, seed).to(device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=settings.classifier_lr,
            momentum=settings.classifier_momentum,
            weight_decay=settings.classifier_weight_decay,
        )

    def set_epoch(self, epoch: int) -> None:
        """Takes the learning rate of ``epoch`` (from 0)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.classifier_rate_at(epoch)

    def inputs(self, maps: Tensor) -> Tensor:
        """Maps [B, H, W] as the network sees them: by their mean, averaged to ``map_side``."""
        relative = relative_maps(maps)[:, None]
        side = self.settings.map_side
        return relative if maps.shape[-1] == side else adaptive_avg_pool2d(relative, side)

    def learn(self, maps: Tensor, groups: Tensor, all_groups: Tensor) -> tuple[Tensor, Tensor]:
        """One SGD step (eq. 3) on the rows with a known group; (loss, accuracy) of all ranks.

        ``maps`` [B, H, W] and ``groups`` [B] of this rank, ``all_groups`` [N] as gathered, -1
        unknown and at least 2 known. With ``classifier_balance`` both figures are means over the
        groups present of their means: eq. (4) asks for a uniform answer, which a classifier that
        has learned unequal shares does not give even where maps tell it nothing.
        All ranks or none.
        """
        self.network.train()
        rows = groups >= 0
        weights = self._weights(all_groups)[groups[rows]]
        scores = self.network(self.inputs(maps.detach()[rows]))
        loss = (weights * cross_entropy(scores, groups[rows], reduction="none")).sum()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        right = (weights * (scores.detach().argmax(1) == groups[rows])).sum()
        figures = torch.stack([loss.detach(), right])
        self._sum_gradients(figures)
        self.optimizer.step()
        return figures[0], figures[1]

    def _weights(self, all_groups: Tensor) -> Tensor:
        """What a row of each group counts, [G]; the known rows of all ranks add up to 1."""
        counts = all_groups[all_groups >= 0].bincount(minlength=self.num_groups)
        if not self.settings.classifier_balance:
            return torch.ones_like(counts, dtype=torch.float32) / counts.sum()
        return (counts > 0) / (counts.clamp_min(1) * (counts > 0).sum())

    def _sum_gradients(self, figures: Tensor) -> None:
        """All gradients and the step's figures in one all-reduce, in place."""
        if dist.world_size() == 1:
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), figures])
        dist.all_reduce_(flat)
        parts = flat.split([*(g.numel() for g in gradients), len(figures)])
        for gradient, part in zip([*gradients, figures], parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def confusion(self, maps: Tensor) -> Tensor:
        """Cross entropy against uniform per row, [B] (eq. 4); its least value is log G.

        BatchNorm sees the rows of all ranks, at least 2, as in `learn`: through its running
        statistics, which lag behind, the values explode. The classifier learns nothing here and
        takes no gradient.
        """
        self.network.train()
        with frozen(self.network), statistics_held(self.network):
            return -log_softmax(self.network(self.inputs(maps)), 1).mean(1)

    def state_dict(self) -> dict[str, Any]:
        """Weights, running statistics and momentum."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them back. Raises UserError for a classifier of another shape."""
        found = state["network"]["fc.weight"].shape
        wanted = self.network.fc.weight.shape
        if found != wanted:
            raise UserError(
                f"the checkpoint's classifier of maps has {found[0]} groups and width "
                f"{found[1] // 8}, this run has {wanted[0]} and {wanted[1] // 8}; resume with the "
                "group table and gabn.classifier_width of the first run"
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

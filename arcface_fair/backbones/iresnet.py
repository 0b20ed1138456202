# SPDX-License-Identifier: MIT
"""Residual networks for faces whose state dicts are those of arcface_torch's iresnet.

Architecture: ArcFace (arXiv 1801.07698), section 3.1: a 3x3 stem at full resolution, residual
units BN-Conv-BN-PReLU-Conv-BN, and BN-Dropout-FC-BN on the 7x7 map. Names, shapes and the order
of the parameters agree with arcface_torch, because its checkpoints store the optimiser's state
by position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arcface_fair.backbones.build import BACKBONES
from arcface_fair.backbones.precision import trunk_autocast

DEPTHS = {
    "r18": (2, 2, 2, 2),
    "r34": (3, 4, 6, 3),
    "r50": (3, 4, 14, 3),
    "r100": (3, 13, 30, 3),
    "r200": (6, 26, 60, 6),
    "r2060": (3, 128, 896, 3),
}
"""Residual units per stage."""

WIDTHS = (64, 128, 256, 512)
MAP_SIDE = 7  # 112 halved by each of four stages


class _RunningStatisticsHeld:
    """While entered, the BatchNorm layers of a module normalise without updating their buffers.

    A checkpointed unit runs twice per step; without this the second run would enter the batch
    into the running mean and variance once more. Re-usable, because a graph that is kept may be
    recomputed several times.
    """

    def __init__(self, module: nn.Module) -> None:
        self._layers = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]

    def __enter__(self) -> None:
        self._kept = [(layer.momentum, layer.num_batches_tracked) for layer in self._layers]
        for layer in self._layers:
            layer.momentum, layer.num_batches_tracked = 0.0, None

    def __exit__(self, *exception: object) -> None:
        for layer, kept in zip(self._layers, self._kept, strict=True):
            layer.momentum, layer.num_batches_tracked = kept


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...


class ResidualUnit(nn.Module):
    """BN-Conv-BN-PReLU-Conv-BN beside a shortcut; the second convolution carries the stride."""

    def __init__(self, width_in: int, width: int, stride: int, recompute: bool) -> None:
        super().__init__()
        self.recompute = recompute
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or width_in != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, width_in, S, S] -> [B, width, S / stride, S / stride]."""
        if self.recompute and self.training and torch.is_grad_enabled():
            held = _RunningStatisticsHeld(self)
            # Non-reentrant: autograd.grad works through it, which penalties on inputs need.
            return checkpoint(
                self._residual, x, use_reentrant=False, context_fn=lambda: (_Nothing(), held)
            )
        return self._residual(x)

    def _residual(self, x: Tensor) -> Tensor:
        inner = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(inner)) + shortcut


def _stage(width_in: int, width: int, depth: int, recompute: bool) -> nn.Sequential:
    """`depth` units, of which the first halves the map's side."""
    first = ResidualUnit(width_in, width, 2, recompute)
    return nn.Sequential(
        first, *(ResidualUnit(width, width, 1, recompute) for _ in range(1, depth))
    )


class IResNet(nn.Module):
    """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""

    def __init__(
        self,
        depths: tuple[int, ...],
        *,
        fp16: bool = False,
        num_features: int = 512,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.fp16 = fp16
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        a, b, c, d = WIDTHS
        self.layer1 = _stage(a, a, depths[0], gradient_checkpointing)
        self.layer2 = _stage(a, b, depths[1], gradient_checkpointing)
        self.layer3 = _stage(b, c, depths[2], gradient_checkpointing)
        self.layer4 = _stage(c, d, depths[3], gradient_checkpointing)
        self.bn2 = nn.BatchNorm2d(d)
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(d * MAP_SIDE**2, num_features)
        self.features = nn.BatchNorm1d(num_features)
        # The scale of an embedding is meaningless under a cosine; a fixed 1 keeps norms readable.
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""
        with trunk_autocast(images, self.fp16):
            x = self.prelu(self.bn1(self.conv1(images)))
            for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
                x = stage(x)
            x = self.dropout(self.bn2(x).flatten(1))
        if self.fp16:
            x = x.to(self.fc.weight.dtype)
        return self.features(self.fc(x))


def _register(name: str, depths: tuple[int, ...]) -> None:
    @BACKBONES.register(name)
    def build(
        *,
        fp16: bool,
        num_features: int,
        dropout: float,
        # As in arcface_torch, whose r2060 would hardly fit into memory otherwise.
        gradient_checkpointing: bool = name == "r2060",
    ) -> IResNet:
        return IResNet(
            depths,
            fp16=fp16,
            num_features=num_features,
            dropout=dropout,
            gradient_checkpointing=gradient_checkpointing,
        )


for _name, _depths in DEPTHS.items():
    _register(_name, _depths)

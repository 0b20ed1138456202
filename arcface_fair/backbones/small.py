# SPDX-License-Identifier: MIT
"""A network small enough to train on a CPU while one watches (several hundred images/s a core).

A stem to 28x28, two residual blocks to 7x7, one linear layer. Two forms:

- `small`: the stem cuts the image into 4x4 patches. Fastest and, at equal epochs, the more
  accurate one, but a gradient map over its input shows the lattice of the patches.
- `small_aa`: 2x2 means first, and every filter that reduces has a side of twice its stride, so
  that all pixels enter equally often and gradient maps over the input can be read as pictures.
"""

from __future__ import annotations

from torch import Tensor, channels_last, nn

from arcface_fair.backbones.build import BACKBONES
from arcface_fair.backbones.precision import trunk_autocast
from arcface_fair.errors import UserError

STEM, MIDDLE, TOP = 16, 32, 64  # channels at 28x28, 14x14 and 7x7
MAP_SIDE = 7
NORMS = ("batch", "none")


def _norm(width: int, norm: str) -> nn.Module:
    return nn.BatchNorm2d(width) if norm == "batch" else nn.Identity()


class _Block(nn.Module):
    """Two convolutions beside a 1x1 shortcut; halves the side of the map."""

    def __init__(self, width_in: int, width: int, norm: str, antialias: bool) -> None:
        super().__init__()
        reduce: nn.Module = nn.AvgPool2d(2) if antialias else nn.Identity()
        kernel = 4 if antialias else 3
        self.conv1 = nn.Conv2d(width_in, width, kernel, stride=2, padding=1, bias=False)
        self.bn1 = _norm(width, norm)
        self.act1 = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = _norm(width, norm)
        self.shortcut = nn.Sequential(
            reduce, nn.Conv2d(width_in, width, 1, stride=1 if antialias else 2, bias=False)
        )
        self.act2 = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(inner)) + self.shortcut(x))


class SmallNet(nn.Module):
    """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32.

    norm: "batch", or "none" for tests that compare one process with several: without BatchNorm
        an image's embedding does not depend on the rest of its batch.
    """

    def __init__(
        self,
        *,
        fp16: bool = False,
        num_features: int = 512,
        dropout: float = 0.0,
        norm: str = "batch",
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UserError(f"norm is {norm!r}; choose one of: {', '.join(NORMS)}")
        self.fp16 = fp16
        if antialias:
            stem = [nn.AvgPool2d(2), nn.Conv2d(3, STEM, 4, stride=2, padding=1, bias=False)]
        else:
            stem = [nn.Identity(), nn.Conv2d(3, STEM, 4, stride=4, bias=False)]
        self.stem = nn.Sequential(*stem, _norm(STEM, norm), nn.PReLU(STEM))
        self.block1 = _Block(STEM, MIDDLE, norm, antialias)
        self.block2 = _Block(MIDDLE, TOP, norm, antialias)
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(TOP * MAP_SIDE**2, num_features)
        self.features = nn.BatchNorm1d(num_features) if norm == "batch" else nn.Identity()
        # Convolutions on a CPU are about twice as fast when the channels lie side by side.
        self.to(memory_format=channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""
        with trunk_autocast(images, self.fp16):
            x = self.stem(images.contiguous(memory_format=channels_last))
            x = self.block2(self.block1(x))
            x = self.dropout(x.flatten(1))
        if self.fp16:
            x = x.to(self.fc.weight.dtype)
        return self.features(self.fc(x))


def _register(name: str, antialias: bool) -> None:
    @BACKBONES.register(name)
    def build(*, fp16: bool, num_features: int, dropout: float, norm: str = "batch") -> SmallNet:
        return SmallNet(
            fp16=fp16, num_features=num_features, dropout=dropout, norm=norm, antialias=antialias
        )


_register("small", antialias=False)
_register("small_aa", antialias=True)

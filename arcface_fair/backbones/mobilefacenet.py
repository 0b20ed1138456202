# SPDX-License-Identifier: MIT
"""MobileFaceNet in the two sizes of arcface_torch (mbf, mbf_large), state dicts included.

Architecture: Chen et al. 2018 (arXiv 1804.07573), in arcface_torch's wider variant. The nested
`layers` in the parameter names come from there and are kept, so that weights can be exchanged.
"""

from __future__ import annotations

from torch import Tensor, nn

from arcface_fair.backbones.build import BACKBONES
from arcface_fair.backbones.precision import trunk_autocast
from arcface_fair.errors import UserError

WIDTH_OUT = 512  # channels of the last map, and of the 7x7 depthwise filter that reads it out


class _Stack(nn.Module):
    """Modules in a row under the name `layers`, with an optional shortcut around them."""

    def __init__(self, *modules: nn.Module, shortcut: bool = False) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.layers = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.shortcut else self.layers(x)


def _conv(
    width_in: int, width: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
) -> _Stack:
    """Convolution and BatchNorm, then PReLU if `act`; 3x3 kernels keep the map's size."""
    padding = 1 if kernel == 3 else 0
    conv = nn.Conv2d(width_in, width, kernel, stride, padding, groups=groups, bias=False)
    tail = [nn.PReLU(width)] if act else []
    return _Stack(conv, nn.BatchNorm2d(width), *tail)


def _bottleneck(width_in: int, width: int, inner: int, stride: int) -> _Stack:
    """1x1 up, 3x3 per channel, 1x1 linear; with a shortcut where the stride is 1."""
    return _Stack(
        _conv(width_in, inner),
        _conv(inner, inner, kernel=3, stride=stride, groups=inner),
        _conv(inner, width, act=False),
        shortcut=stride == 1,
    )


def _bottlenecks(width: int, inner: int, count: int) -> _Stack:
    return _Stack(*(_bottleneck(width, width, inner, stride=1) for _ in range(count)))


class MobileFaceNet(nn.Module):
    """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32.

    blocks: bottlenecks at 56, 28, 14 and 7 pixels; a first 1 stands for a grouped convolution.
    scale: multiplies the widths 64 and 128.
    """

    def __init__(
        self, *, fp16: bool, num_features: int, blocks: tuple[int, int, int, int], scale: int
    ) -> None:
        super().__init__()
        self.fp16 = fp16
        low, high = 64 * scale, 128 * scale
        first = (
            _conv(low, low, kernel=3, groups=64)
            if blocks[0] == 1
            else _bottlenecks(low, 128, blocks[0])
        )
        self.layers = nn.ModuleList(
            [
                _conv(3, low, kernel=3, stride=2),
                first,
                _bottleneck(low, low, 128, stride=2),
                _bottlenecks(low, 128, blocks[1]),
                _bottleneck(low, high, 256, stride=2),
                _bottlenecks(high, 256, blocks[2]),
                _bottleneck(high, high, 512, stride=2),
                _bottlenecks(high, 256, blocks[3]),
            ]
        )
        self.conv_sep = _conv(high, WIDTH_OUT)
        self.features = _Stack(
            _conv(WIDTH_OUT, WIDTH_OUT, kernel=7, groups=WIDTH_OUT, act=False),
            nn.Flatten(),
            nn.Linear(WIDTH_OUT, num_features, bias=False),
            nn.BatchNorm1d(num_features),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""
        x = images
        with trunk_autocast(images, self.fp16):
            for layer in self.layers:
                x = layer(x)
        if self.fp16:
            x = x.float()
        return self.features(self.conv_sep(x))


def _register(name: str, blocks: tuple[int, int, int, int], scale: int) -> None:
    @BACKBONES.register(name)
    def build(*, fp16: bool, num_features: int, dropout: float) -> MobileFaceNet:
        if dropout:
            raise UserError(
                f"dropout is {dropout} but network {name!r} has no dropout layer; "
                "set dropout = 0 or choose an iresnet (r18 to r200)"
            )
        return MobileFaceNet(fp16=fp16, num_features=num_features, blocks=blocks, scale=scale)


_register("mbf", (1, 4, 6, 2), scale=2)
_register("mbf_large", (2, 8, 12, 4), scale=4)

# SPDX-License-Identifier: MIT
"""Vision transformers for faces whose state dicts are those of arcface_torch's vit_*.

Architecture: ViT (arXiv 2010.11929), pre-norm blocks without a class token: 12 x 12 patches of
9 x 9 pixels, all tokens read out by one linear layer, as in arcface_torch. Names, shapes and the
order of the parameters agree with it. In training it drops whole branches per image (stochastic
depth, arXiv 1603.09382) and, where masking is on, hides a tenth of the patches and puts one learned
token in their place behind the last block.

B images, T = 144 tokens, E embedding width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arcface_fair.backbones.build import BACKBONES
from arcface_fair.backbones.precision import trunk_autocast
from arcface_fair.errors import UserError

IMAGE_SIDE, PATCH_SIDE = 112, 9
TOKENS = (IMAGE_SIDE // PATCH_SIDE) ** 2
HEADS = 8
MLP_RATIO = 4
# arcface_torch hides this share wherever masking is on: the ratio in a name only turns it on.
MASKED_SHARE = 0.1
READOUT_EPS = 2e-5


@dataclass(frozen=True)
class Form:
    """What tells one vit_* from another."""

    width: int  # E
    depth: int  # blocks
    drop_path: float  # rate of dropped branches in the last block; it rises from 0 linearly
    masked: bool  # hide patches in training
    recompute: bool = False  # gradient checkpointing unless an option says otherwise


FORMS = {
    "vit_t": Form(256, 12, 0.1, True),
    "vit_t_dp005_mask0": Form(256, 12, 0.05, False),
    "vit_s": Form(512, 12, 0.1, True),
    "vit_s_dp005_mask_0": Form(512, 12, 0.05, False),
    "vit_b": Form(512, 24, 0.1, True, recompute=True),
    "vit_b_dp005_mask_005": Form(512, 24, 0.05, True, recompute=True),
    "vit_l_dp005_mask_005": Form(768, 24, 0.05, True, recompute=True),
    "vit_h": Form(1024, 48, 0.1, False, recompute=True),
}
"""arcface_torch's names; forms of one width and depth hold equal weights."""


class _DropPath(nn.Module):
    """Zeroes a branch for whole images at `rate`, and scales the others so that the mean stays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(len(x), 1, 1).bernoulli_(1 - self.rate)
        return x * (kept / (1 - self.rate))


class _Attention(nn.Module):
    """Softmax attention over all tokens, its products in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, E] -> [B, T, E]."""
        size, tokens, width = x.shape
        split = self.qkv(x).reshape(size, tokens, 3, HEADS, width // HEADS)
        with torch.autocast(x.device.type, enabled=False):
            q, k, v = split.permute(2, 0, 3, 1, 4).float().unbind(0)
            weights = (q @ k.transpose(-2, -1) * (width // HEADS) ** -0.5).softmax(-1)
            mixed = (weights @ v).transpose(1, 2).reshape(size, tokens, width)
        return self.proj(mixed)


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.act = nn.ReLU6()
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class _Block(nn.Module):
    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        # The order in which arcface_torch's optimiser counts them.
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = _Attention(width)
        self.drop_path = _DropPath(drop_path)
        self.mlp = _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_SIDE, stride=PATCH_SIDE)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, 112, 112] -> [B, T, E]."""
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""

    def __init__(
        self, form: Form, *, fp16: bool, num_features: int, gradient_checkpointing: bool
    ) -> None:
        super().__init__()
        self.fp16, self.masked, self.recompute = fp16, form.masked, gradient_checkpointing
        width = form.width
        self.patch_embed = _PatchEmbedding(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, TOKENS, width))
        rates = torch.linspace(0, form.drop_path, form.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(_Block(width, rate) for rate in rates)
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(width * TOKENS, width, bias=False),
            nn.BatchNorm1d(width, eps=READOUT_EPS),
            nn.Linear(width, num_features, bias=False),
            nn.BatchNorm1d(num_features, eps=READOUT_EPS),
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, 112, 112] in -1..1 -> embeddings [B, num_features], float32."""
        with trunk_autocast(images, self.fp16):
            x = self.patch_embed(images) + self.pos_embed
            order = self._draw_order(x) if self.training and self.masked else None
            if order is not None:
                x = _take(x, order[:, : int(TOKENS * (1 - MASKED_SHARE))])
            for block in self.blocks:
                if self.recompute and self.training and torch.is_grad_enabled():
                    # Non-reentrant, so that autograd.grad works through it.
                    x = checkpoint(block, x, use_reentrant=False)
                else:
                    x = block(x)
        x = self.norm(x.float())
        if order is not None:
            hidden = self.mask_token.expand(len(x), TOKENS - x.shape[1], -1)
            x = _take(torch.cat([x, hidden], 1), order.argsort(1))
        return self.feature(x.flatten(1))

    @staticmethod
    def _draw_order(x: Tensor) -> Tensor:
        """A random order of the tokens per image [B, T]; the first ones stay visible."""
        return torch.rand(len(x), TOKENS, device=x.device).argsort(1)


def _take(x: Tensor, order: Tensor) -> Tensor:
    """Tokens of [B, T, E] in the given order [B, K] -> [B, K, E]."""
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]))


def _register(name: str, form: Form) -> None:
    @BACKBONES.register(name)
    def build(
        *, fp16: bool, num_features: int, dropout: float, gradient_checkpointing: bool | None = None
    ) -> VisionTransformer:
        if dropout:
            raise UserError(
                f"dropout is {dropout} but network {name!r} has no dropout layer; "
                "set dropout = 0 or choose an iresnet (r18 to r200)"
            )
        recompute = form.recompute if gradient_checkpointing is None else gradient_checkpointing
        return VisionTransformer(
            form, fp16=fp16, num_features=num_features, gradient_checkpointing=recompute
        )


for _name, _form in FORMS.items():
    _register(_name, _form)

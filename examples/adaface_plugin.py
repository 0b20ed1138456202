# SPDX-License-Identifier: MIT
"""AdaFace (CVPR 2022, arXiv 2204.00964): a margin that follows the length of the embedding.

    config.plugins = ["adaface_plugin"]
    config.margin = dict(name="adaface", m=0.4)

    z_iy = s (cos(theta_iy - m g_i) - (m g_i + m)),      z_ij = s cos theta_ij
    g_i = clip(h (|x_i| - mean) / (std + 1e-3), -1, 1)

The running mean and standard deviation of the norms |x_i| are buffers, so they are in every
checkpoint. N rows of the whole batch, K classes of one block on this rank.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from arcface_fair import Margin, MarginContext, Plugin, Session, check_range

NAME = "adaface"


class AdaFace(torch.nn.Module):
    """The margin. Raises UserError for m outside 0..1."""

    needs_context = True
    mean: Tensor
    std: Tensor

    def __init__(self, s: float = 64.0, m: float = 0.4, h: float = 0.333, t: float = 0.01) -> None:
        super().__init__()
        check_range("adaface m", m, 0, 1)
        self.s, self.m, self.h, self.t = s, m, h, t
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("std", torch.tensor(100.0))

    def prepare(self, context: MarginContext) -> MarginContext:
        """Once per step: moves mean and std, then g [N]."""
        norms = context.norms.detach().clamp(1e-3, 100)
        if self.training:
            self.mean += self.t * (norms.mean() - self.mean)
            self.std += self.t * (norms.std() - self.std)
        quality = self.h * (norms - self.mean) / (self.std + 1e-3)
        return replace(context, state=quality.clamp(-1, 1))

    def forward(self, cosines: Tensor, labels: Tensor, context: MarginContext) -> Tensor:
        """Logits [N, K] from cosines [N, K] and labels [N, 1], -1 where the class is elsewhere."""
        own = labels == torch.arange(cosines.shape[1], device=cosines.device)
        shift = self.m * context.state[:, None]
        theta = cosines.clamp(-1 + 1e-3, 1 - 1e-3).acos()
        moved = (theta - shift).clamp(1e-3, torch.pi - 1e-3).cos() - (self.m + shift)
        return self.s * torch.where(own, moved, cosines)


MARGINS = (Margin("adaface", AdaFace),)


@dataclass(frozen=True)
class Settings:
    """The margin's settings are those of ``config.margin``; there are no others."""


def build(settings: Settings, session: Session) -> Plugin:
    """The margin is all that this plugin has."""
    return Plugin(name=NAME)

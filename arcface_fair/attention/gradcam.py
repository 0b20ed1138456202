# SPDX-License-Identifier: MIT
"""Grad-CAM (arXiv 1610.02391): which places of the last feature map speak for an identity.

    alpha_k = mean over places of  d t / d A_k,      CAM = relu( sum_k alpha_k A_k )

A: the last map of the convolutional trunk, after its last convolution joined its shortcut;
t: the cosine of the image's embedding to a given direction. Face networks give no class scores
on new people, so t is a cosine: to the image's own class centre, or to another image of the same
person. The common libraries for this bring torchvision, which has no build beside a CPU torch on
PyPI; the method is these few lines. N images, D embedding size, H W image size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from arcface_fair.errors import UserError


def grad_cam(backbone: nn.Module, inputs: Tensor, directions: Tensor) -> Tensor:
    """Maps float32 [N, H, W], each 0..1 with its maximum at 1, or 0 where nothing speaks for t.

    inputs: float [N, 3, H, W] as the network takes them; directions [N, D] of any norm. The network
    should be in eval mode, so that a map depends on its own image alone; no weight gets a gradient.
    Raises UserError for a network without a feature map that has places.
    """
    with torch.enable_grad(), last_map(backbone) as seen:
        # Through the images too, so that a frozen network also builds its graph.
        embeddings = backbone(inputs.requires_grad_())
        if not seen:
            raise UserError(
                f"the network {type(backbone).__name__} has no feature map with places, expected "
                "a convolutional one; Grad-CAM cannot be drawn for it, leave it out with --no-cam"
            )
        cosines = (normalize(embeddings.float()) * normalize(directions.float())).sum()
        (gradient,) = torch.autograd.grad(cosines, seen[-1])
    features = seen[-1].detach().float()
    weights = gradient.float().mean((2, 3), keepdim=True)
    cam = (weights * features).sum(1, keepdim=True).relu()
    cam = interpolate(cam, inputs.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = cam.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, cam / peak.clamp_min(torch.finfo(cam.dtype).tiny), 0)


@contextmanager
def last_map(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """While entered, the list holds the maps [B, K, h, w] of the running pass, the last one last.

    Maps of a single place (global pooling) are no maps. The hooks are gone afterwards.
    """
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            seen[:] = [output]

    handles = [part.register_forward_hook(keep) for part in backbone.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def second_image_directions(embeddings: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """For every image the embedding of the next image of the same person, [N, D].

    Where a person has one image alone the row is 0: nothing speaks for it.
    """
    directions = np.zeros_like(embeddings)
    for identity in np.unique(identities):
        positions = np.flatnonzero(identities == identity)
        if len(positions) > 1:
            directions[positions] = embeddings[np.roll(positions, -1)]
    return directions

# SPDX-License-Identifier: MIT
"""Embeds the images of a verification set, mirror images added, and leaves the network as it was.

N images, D embedding size. Under data parallelism every rank keeps BatchNorm statistics of its
own rows; what ranks embed together takes rank 0's, which ``model.pt`` will hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arcface_fair import dist
from arcface_fair.errors import UserError


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts `module` into eval mode; afterwards each of its parts has its own former mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def rank0_statistics(backbone: nn.Module) -> Iterator[None]:
    """Evaluation mode with rank 0's buffers on all ranks; own buffers and mode afterwards.

    Call it on all ranks. Gradients are off inside.
    """
    own = [buffer.clone() for buffer in backbone.buffers()]
    for buffer in backbone.buffers():
        dist.broadcast_(buffer)
    try:
        with evaluating(backbone), torch.no_grad():
            yield
    finally:
        with torch.no_grad():
            for buffer, kept in zip(backbone.buffers(), own, strict=True):
                buffer.copy_(kept)


def embed_bin(
    backbone: nn.Module,
    images: NDArray[np.uint8],
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    flip: bool = True,
    on_images: Callable[[int], object] = lambda count: None,
) -> NDArray[np.float32]:
    """Embeddings [N, D] of uint8 RGB images [N, 112, 112, 3], flips summed, not normalised.

    The images enter as (x - 127.5) / 127.5. `on_images` is called after each batch with the
    number of its images. The modes of the backbone's modules are restored.
    """
    with evaluating(backbone), torch.no_grad():

        def embed(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
            faces = _to_input(batch, torch.device(device))
            features: Tensor = backbone(faces)
            if flip:
                features = features + backbone(faces.flip(3))
            return features.float().cpu().numpy()

        return embed_batches(embed, images, batch_size, on_images)


def embed_batches(
    embed: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    images: NDArray[np.uint8],
    batch_size: int,
    on_images: Callable[[int], object] = lambda count: None,
) -> NDArray[np.float32]:
    """Calls `embed` on slices of at most `batch_size` images and joins what it returns."""
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not len(images):
        raise UserError(
            f"images have shape {images.shape} and type {images.dtype}; "
            "expected uint8 [images, 112, 112, 3] with at least one image"
        )
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(embed(images[start : start + batch_size]))
        on_images(len(parts[-1]))
    return np.concatenate(parts)


def _to_input(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """float32 [B, 3, H, W] in -1..1 on `device`."""
    faces = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return faces.permute(0, 3, 1, 2).contiguous().float().sub_(127.5).div_(127.5)

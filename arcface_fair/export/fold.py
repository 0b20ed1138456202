# SPDX-License-Identifier: MIT
"""Moves a training's input scale into the first convolution, so that (x - 127.5) / 127.5 is right.

InsightFace's runtimes divide by 127.5; some trainings (GABN's paper code) divide by 128. With
x = pixels - 127.5 a convolution W without bias gives W (x / 128) = (W * 127.5 / 128) (x / 127.5);
zero padding commutes with the factor, and a bias is left as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError

RUNTIME_STD = 127.5
LARGEST_DIFFERENCE = 1e-5  # of the embeddings' norm, as between file and backbone


def fold_input_scale(backbone: nn.Module, train_std: float) -> None:
    """Changes `backbone` (eval mode, CPU) in place from input x / train_std to x / 127.5.

    Raises UserError where the first layer with weights is no convolution, or the changed network
    computes something else.
    """
    if train_std == RUNTIME_STD:
        return
    if not train_std > 0:
        raise UserError(f"train_std is {train_std:g}; it must be above 0, 127.5 or 128 are usual")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 112, 112)) - 127.5
    centred = torch.from_numpy(pixels.astype(np.float32))
    with torch.no_grad():
        expected = backbone(centred / train_std)
        first = _first_weighted_layer(backbone, centred[:1] / train_std)
        if not isinstance(first, nn.Conv2d):
            raise UserError(
                f"train_std is {train_std:g}, and it cannot be folded: the network begins with "
                f"{type(first).__name__}, not with a convolution; train it with 127.5"
            )
        first.weight.mul_(RUNTIME_STD / train_std)
        output = backbone(centred / RUNTIME_STD)
    difference = float((output - expected).abs().max() / expected.norm(dim=1).mean())
    if not difference < LARGEST_DIFFERENCE:
        raise UserError(
            f"train_std is {train_std:g}, and it cannot be folded into the first convolution: the "
            f"network then differs by {difference:.1e} of the norm; train it with 127.5"
        )


def _first_weighted_layer(backbone: nn.Module, images: Tensor) -> nn.Module | None:
    """The layer that is called first of those that hold parameters of their own."""
    called: list[nn.Module] = []
    handles = [
        module.register_forward_pre_hook(lambda layer, _: called.append(layer))
        for module in backbone.modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    try:
        backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    # A module that holds a bare parameter is called before its own layers are.
    layers = [layer for layer in called if not list(layer.children())]
    return layers[0] if layers else None

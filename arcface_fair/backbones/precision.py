# SPDX-License-Identifier: MIT
"""Says in which precision the convolutional part of a backbone runs."""

from __future__ import annotations

import torch
from torch import Tensor


def trunk_autocast(images: Tensor, fp16: bool) -> torch.autocast:
    """Autocast for `images`' device in that device's usual half precision, off if not `fp16`.

    Off means off: an autocast around the network does not reach into its convolutions, as in
    arcface_torch.
    """
    return torch.autocast(images.device.type, enabled=fp16)

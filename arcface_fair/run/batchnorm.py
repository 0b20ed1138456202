# SPDX-License-Identifier: MIT
"""Lets all ranks look through rank 0's BatchNorm statistics: what ``model.pt`` will hold.

Under data parallelism every rank keeps running statistics of its own rows. Features that ranks
extract together, and verifications they share, must come from one network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from arcface_fair import dist


@contextmanager
def rank0_statistics(backbone: nn.Module) -> Iterator[None]:
    """Evaluation mode with rank 0's buffers on all ranks; own buffers and mode afterwards.

    Call it on all ranks. Gradients are off inside.
    """
    modes = [(part, part.training) for part in backbone.modules()]
    own = [buffer.clone() for buffer in backbone.buffers()]
    for buffer in backbone.buffers():
        dist.broadcast_(buffer)
    backbone.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        with torch.no_grad():
            for buffer, kept in zip(backbone.buffers(), own, strict=True):
                buffer.copy_(kept)
        for part, training in modes:
            part.training = training

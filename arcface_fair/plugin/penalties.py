# SPDX-License-Identifier: MIT
"""What a plugin may add to the loss and do to the images: penalties and augmentations.

A penalty is a function of `Step` that returns one scalar; the head adds weight * value. It has
no schedule (hooks set ``weight``) and calls no collectives: what it reads of the global batch,
``ce``, ``entropy``, ``pmax`` and ``batch_labels``, is the same on every rank already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from arcface_fair.plugin.session import Step


@dataclass
class Penalty:
    """A named term of the loss.

    ``function``: Step -> scalar tensor with graph, equal on all ranks.
    ``weight``: factor of the term, >= 0; at 0 the function is not called.
    """

    name: str
    function: Callable[[Step], Tensor]
    weight: float = 1.0


@dataclass
class Augmentation:
    """A named change of the images before the forward pass.

    ``function``: Step -> images [B, 3, H, W] of the same shape and dtype. It may run second
    passes (``session.backbone``, ``session.head.statistics``) as long as all ranks do.
    """

    name: str
    function: Callable[[Step], Tensor]

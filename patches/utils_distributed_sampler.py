# SPDX-License-Identifier: MIT
"""Patch of utils/utils_distributed_sampler.py: the seed is agreed upon on any device."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceKeyword
from .patch import Patch


class DeviceOfSeed(Patch):
    """Ranks agree on the sampler's seed through a tensor; it lies where the backend needs it."""

    NAME = "device"
    FILE = "utils/utils_distributed_sampler.py"
    DESCRIPTION = "agrees on the sampler's seed without a GPU too"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The device of the tensors that are broadcast."""
        return [ReplaceKeyword("the device of the seed's tensor", "device=device",
                               "bridge.device()")]  # fmt: skip

# SPDX-License-Identifier: MIT
"""Patch of partial_fc_v2.py: the head of runs without plugins on any device."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceMethod
from .patch import Patch


class DeviceOfHead(Patch):
    """Upstream's own head, which runs without plugins keep."""

    NAME = "device"
    FILE = "partial_fc_v2.py"
    DESCRIPTION = "keeps the head's buffers on the GPU where there is one"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Every `.cuda()`."""
        return [ReplaceMethod("a call of `.cuda()`", "cuda", "to(bridge.device())")]

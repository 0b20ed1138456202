# SPDX-License-Identifier: MIT
"""Patch of lr_scheduler.py: schedulers whose base class lost the argument ``verbose``."""

from __future__ import annotations

import ast

import libcst as cst

from .edits import Change, Edit
from .match import code_of
from .patch import Patch


class SchedulerWithoutVerbose(Patch):
    """torch 2.7 removed ``verbose``; upstream passes it by name or as the third argument."""

    NAME = "scheduler"
    FILE = "lr_scheduler.py"
    DESCRIPTION = "drops the argument `verbose` that torch's schedulers no longer take"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Every call of the base class's constructor."""
        return [
            _DropVerbose(
                "the call of the scheduler's base class",
                "super().__init__(optimizer, last_epoch, verbose)",
                "super().__init__(optimizer, last_epoch=last_epoch)",
            )
        ]


class _DropVerbose(Edit):
    def transformer(self, module: cst.Module) -> Change:
        """Drops ``verbose=...`` or the third positional argument."""
        return _Dropping()


class _Dropping(Change):
    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        code = code_of(original_node.func).replace(" ", "")
        if not (code.startswith("super(") and code.endswith(").__init__")):
            return updated_node
        self.places += 1
        kept = [
            arg
            for place, arg in enumerate(updated_node.args)
            if (arg.keyword is None and place < 2)
            or (arg.keyword is not None and arg.keyword.value != "verbose")
        ]
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return updated_node.with_changes(args=kept)

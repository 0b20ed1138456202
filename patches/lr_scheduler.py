# SPDX-License-Identifier: MIT
"""Patch of lr_scheduler.py: schedulers whose base class lost the argument ``verbose``."""

from __future__ import annotations

import ast

import libcst as cst

from .changes import Change, Place
from .edits import Edit
from .match import code_of
from .patch import Patch


class SchedulerWithoutVerbose(Patch):
    """Schedulers lost ``verbose``; upstream passes it by name or as the third argument."""

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
    def change(self, module: cst.Module) -> Change:
        """Drops ``verbose=...`` or the third positional argument."""
        return _Dropping()


class _Dropping(Change):
    def wants(self, node: cst.CSTNode, syntax: ast.AST | None) -> bool:
        assert isinstance(node, cst.Call)
        code = code_of(node.func).replace(" ", "")
        return code.startswith("super(") and code.endswith(").__init__")

    def make(self, place: Place) -> None:
        assert isinstance(place.node, cst.Call)
        kept = [
            arg
            for number, arg in enumerate(place.node.args)
            if (number < 2 if arg.keyword is None else arg.keyword.value != "verbose")
        ]
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        place.node = place.node.with_changes(args=kept)

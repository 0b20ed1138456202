# SPDX-License-Identifier: MIT
"""Patch of eval_ijbc.py: runs with current NumPy, without menpo, on any device."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceCall, ReplaceMethod, ReplaceName, ReplaceStatement
from .patch import Patch


class EvalIjbc(Patch):
    """The IJB protocol over a backbone's weights."""

    NAME = "ijb"
    FILE = "eval_ijbc.py"
    DESCRIPTION = (
        "runs the IJB protocol of a model.pt without menpo, on current NumPy, on any device"
    )

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Types that NumPy removed, the device, and the colours of the figure."""
        return [
            ReplaceStatement(
                "the import from menpo",
                "from menpo.visualize.viewmatplotlib import sample_colours_from_colourmap", ""),
            ReplaceCall("the call `sample_colours_from_colourmap(...)`",
                        "sample_colours_from_colourmap(...)", "bridge.colours(...)"),
            ReplaceCall("the line that loads the weights", "torch.load(prefix)",
                        "torch.load(prefix, map_location=bridge.device())"),
            ReplaceMethod("a call of `.cuda()`", "cuda", "to(bridge.device())"),
            ReplaceName("the type `np.int`", "np.int", "int"),
        ]  # fmt: skip

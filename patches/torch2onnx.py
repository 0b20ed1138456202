# SPDX-License-Identifier: MIT
"""Patch of torch2onnx.py: one verified file that every InsightFace loader accepts."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceBody
from .patch import Patch


class ExportByUs(Patch):
    """Upstream's export stops at ``np.float``; behind it, the batch would be fixed at 1."""

    NAME = "export"
    FILE = "torch2onnx.py"
    DESCRIPTION = "exports through arcface-fair: one file, any batch size, checked against torch"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The body of `convert_onnx`."""
        return [
            ReplaceBody("the function `convert_onnx`", "convert_onnx",
                        "return bridge.convert_onnx(net, path_module, output, opset, simplify)"),
        ]  # fmt: skip

# SPDX-License-Identifier: MIT
"""Patch of onnx_ijbc.py: runs with current NumPy and without MXNet."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceName, ReplaceStatement
from .patch import Patch


class OnnxIjbc(Patch):
    """The IJB protocol over an ONNX file."""

    NAME = "ijb"
    FILE = "onnx_ijbc.py"
    DESCRIPTION = "runs the IJB protocol of an ONNX file without MXNet, on current NumPy"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The import, the data set's base class, and a type that NumPy removed."""
        return [
            ReplaceStatement("the line `import mxnet as mx`", "import mxnet as mx", ""),
            ReplaceName("the base class of AlignedDataSet", "mx.gluon.data.Dataset",
                        "torch.utils.data.Dataset"),
            ReplaceName("the type `np.int`", "np.int", "int"),
        ]  # fmt: skip

# SPDX-License-Identifier: MIT
"""Patches of eval/verification.py: .bin sets without MXNet or pickled code, and a threshold that
exists."""

from __future__ import annotations

import ast

from .edits import Edit, ReplaceBody, ReplaceCall, ReplaceStatement
from .patch import Patch


class BinsWithoutMxnet(Patch):
    """Our reader of .bin sets, which runs nothing that a downloaded file holds."""

    NAME = "bins"
    FILE = "eval/verification.py"
    DESCRIPTION = "reads .bin sets without MXNet and without running what they hold"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """Imports and the body of `load_bin`."""
        return [
            ReplaceStatement("the line `import mxnet as mx`", "import mxnet as mx", ""),
            ReplaceStatement("the line `from mxnet import ndarray as nd`",
                             "from mxnet import ndarray as nd", ""),
            ReplaceBody("the function `load_bin`", "load_bin",
                        "return bridge.load_bin(path, image_size)"),
        ]  # fmt: skip


class ThresholdBetweenGridPoints(Patch):
    """SciPy refuses to interpolate over repeated values, which the curve of rates is full of."""

    NAME = "interpolation"
    FILE = "eval/verification.py"
    DESCRIPTION = "finds the threshold of a false accept rate where SciPy's interpolation stops"

    def edits(self, tree: ast.Module) -> list[Edit]:
        """The interpolation in `calculate_val`."""
        return [
            ReplaceCall("the call `interpolate.interp1d(...)`", "interpolate.interp1d(...)",
                        "bridge.threshold_between(...)"),
        ]  # fmt: skip

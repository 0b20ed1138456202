# SPDX-License-Identifier: MIT
"""Imports of what only an extra brings, or the command that brings it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

from arcface_fair.errors import UserError

# Distinguishable with any colour vision and in grey (Okabe and Ito's palette, reordered).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_USES = {"deploy": "ONNX files need", "report": "reports and figures need"}


def require(name: str, extra: Literal["deploy", "report"] = "deploy") -> ModuleType:
    """The module ``name`` of a package that ``extra`` brings. Raises UserError without it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if error.name != package:
            raise
        raise UserError(
            f"the package {package} is not installed, and {_USES[extra]} it; "
            f'run: pip install "arcface-fair[{extra}]"'
        ) from error


def pyplot() -> ModuleType:
    """matplotlib.pyplot without a window; `COLOURS` are for its lines and bars."""
    require("matplotlib", "report").use("Agg")
    return require("matplotlib.pyplot", "report")

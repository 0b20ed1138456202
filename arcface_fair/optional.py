# SPDX-License-Identifier: MIT
"""Imports of what only the `deploy` extra brings, or the command that brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from arcface_fair.errors import UserError


def require(name: str) -> ModuleType:
    """The module `name` (onnx or onnxruntime). Raises UserError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(
            f"the package {name} is not installed, and ONNX files need it; "
            'run: pip install "arcface-fair[deploy]"'
        ) from error

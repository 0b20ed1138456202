# SPDX-License-Identifier: MIT
"""Imports of what only the `report` extra brings, or the command that brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from arcface_fair.errors import UserError


def require(name: str) -> ModuleType:
    """The module ``name``. Raises UserError if its package is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if error.name != package:
            raise
        raise UserError(
            f"the package {package} is not installed, and the report needs it; "
            'run: pip install "arcface-fair[report]"'
        ) from error

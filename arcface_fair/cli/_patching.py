# SPDX-License-Identifier: MIT
"""Finds the patches: packaged as ``arcface_fair._patches``, or beside the package in a checkout."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import arcface_fair
from arcface_fair.errors import UserError

_NAME = "arcface_fair._patches"


def installer() -> ModuleType:
    """The module that installs. Raises UserError where LibCST is not installed."""
    if importlib.util.find_spec("libcst") is None:
        raise UserError(
            "installing needs LibCST, which is not installed; pip install 'arcface-fair[upstream]'"
        )
    if _NAME not in sys.modules and importlib.util.find_spec(_NAME) is None:
        folder = Path(arcface_fair.__file__).parents[1] / "patches"
        spec = importlib.util.spec_from_file_location(
            _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{_NAME}.installer")

# SPDX-License-Identifier: MIT
"""Fairness plugins for face recognition trainers: the shared core.

`__all__` is what a plugin or a training loop of your own may rely on while `CONTRACT` stays the
same. Read `arcface_fair.plugin.session` first: it draws the loop and what a plugin sees of it. The
names are imported when they are first used, so that ``import arcface_fair`` needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
CONTRACT = 2  # raised when a plugin that was written for the former number would break

_HOME = {
    # What a plugin returns.
    "Plugin": "plugin.parts",
    "Hook": "plugin.parts",
    "Penalty": "plugin.parts",
    "Augmentation": "plugin.parts",
    "Margin": "plugin.parts",
    "Figure": "plugin.parts",
    # What it is given.
    "Session": "plugin.session",
    "Run": "plugin.context",
    "BatchStep": "plugin.context",
    "LossStep": "plugin.context",
    # How it checks its settings.
    "UserError": "errors",
    "check_choice": "plugin.settings",
    "check_range": "plugin.settings",
    # Heads and margins.
    "PartialFC": "head",
    "Statistics": "head",
    "MarginContext": "head",
    "ArcFace": "head",
    "CosFace": "head",
    "CombinedMargin": "head",
    "CIFP": "head",
    # For a loop of your own.
    "load_plugin_modules": "plugin.loading",
}

__all__ = ["CONTRACT", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

# SPDX-License-Identifier: MIT
"""Finds the plugins that a run lists and asks each for its parts.

A plugin is a module that offers three names:

    NAME                        "invreg": its block is config.invreg, its state plugins["invreg"]
    Settings                    a frozen dataclass, one checked field per setting
    build(settings, session)    returns a `Plugin`

A module may offer a fourth, ``reads_old(config)``: for a config that uses names of an earlier
version it returns the config as it is written today and a sentence that says so, else None.

``config.plugins`` lists modules ("invreg_plugin") or the names under which installed packages
announce one in the entry-point group ``arcface_fair.plugins``. Core names no plugin.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from arcface_fair.errors import UserError
from arcface_fair.plugin.hooks import Hook
from arcface_fair.plugin.penalties import Augmentation, Penalty
from arcface_fair.plugin.settings import parse_block

LOGGER = logging.getLogger("arcface_fair.plugins")
ENTRY_POINT_GROUP = "arcface_fair.plugins"


class Stateful(Protocol):
    """State that a checkpoint keeps: tensors, numbers, strings, and dicts or lists of these."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a restart; the same on every rank."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""


@dataclass
class Plugin:
    """The parts that one plugin contributes to a run.

    old_state: finds this plugin's state among all plugins' states of a checkpoint that an earlier
    version wrote, where it lies under another name; None where it is not there either.
    """

    name: str
    hooks: tuple[Hook, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    augmentations: tuple[Augmentation, ...] = ()
    state: Stateful | None = None
    old_state: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None


def load_plugin_modules(names: Iterable[str]) -> list[ModuleType]:
    """Imports the listed plugins in order. Raises UserError for one that is not there."""
    modules = [_import(name) for name in names]
    seen: dict[str, str] = {}
    for module in modules:
        if module.NAME in seen:
            raise UserError(
                f"config.plugins lists {seen[module.NAME]!r} and {module.__name__!r}, which are "
                f"both named {module.NAME!r}; keep one of them"
            )
        seen[module.NAME] = module.__name__
    return modules


def with_current_names(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """``config`` as its plugins read it today; a warning says what has another name now."""
    for module in load_plugin_modules(config.get("plugins") or ()):
        found = module.reads_old(config) if hasattr(module, "reads_old") else None
        if found is not None:
            config, sentence = found
            LOGGER.warning(sentence)
    return config


def parse_plugin_settings(modules: Iterable[ModuleType], config: Mapping[str, Any]) -> list[Any]:
    """Each plugin's block of the config, checked; cheap, so that it can come before all else."""
    return [
        parse_block(module.Settings, config.get(module.NAME, {}), module.NAME) for module in modules
    ]


def announced_plugins() -> dict[str, str]:
    """Plugins of installed packages: entry-point name -> module."""
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return {point.name: point.value for point in points}


def _import(name: str) -> ModuleType:
    announced = announced_plugins()
    target = announced.get(name, name)
    try:
        module = importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not (target == error.name or target.startswith(f"{error.name}.")):
            raise  # the plugin is there; something that it imports is not
        known = ", ".join(sorted(announced)) or "none"
        raise UserError(
            f"config.plugins names {name!r}, which is no importable module and no installed "
            f"plugin; installed: {known}. Correct the name or pip install its package"
        ) from error
    missing = [part for part in ("NAME", "Settings", "build") if not hasattr(module, part)]
    if missing:
        raise UserError(
            f"config.plugins names {name!r}, but that module offers no {', '.join(missing)}; "
            "list a module that is an arcface-fair plugin"
        )
    return module

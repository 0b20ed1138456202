# SPDX-License-Identifier: MIT
"""Finds the plugins that a run lists, and checks what they offer and return.

A plugin is a module that offers three names, and three more if it wants:

    NAME                        "mine": its block is config.mine, its state plugins["mine"]
    Settings                    a frozen dataclass, one checked field per setting
    build(settings, session)    returns a `Plugin`
    MARGINS                     optional: the `Margin`s that config.margin may choose by name
    CONTRACT                    optional: the contract that it was written for, 2 today
    reads_old(config)           optional: for a config that uses names of an earlier version, the
                                config as it is written today and a sentence that says so, else None

``config.plugins`` lists modules ("my_plugin") or the names under which installed packages
announce one in the entry-point group ``arcface_fair.plugins``. Core names no plugin.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from arcface_fair import CONTRACT
from arcface_fair.errors import UserError
from arcface_fair.plugin.parts import Augmentation, Figure, Hook, Penalty, Plugin
from arcface_fair.plugin.settings import parse_block

LOGGER = logging.getLogger("arcface_fair.plugins")
ENTRY_POINT_GROUP = "arcface_fair.plugins"

_PARTS = {
    "hooks": Hook, "penalties": Penalty, "augmentations": Augmentation, "figures": Figure,
}  # fmt: skip


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
        renamed = module.reads_old(config) if hasattr(module, "reads_old") else None
        if renamed is not None:
            config, sentence = renamed
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
    return {point.name: point.value for point in sorted(points, key=lambda point: point.name)}


def check_plugins(modules: Sequence[ModuleType], plugins: Sequence[Any], margin: Any) -> None:
    """What the modules' ``build`` returned, in their order; ``margin`` is the head's.

    Raises UserError, with the plugin's name, for what is no `Plugin` or cannot be one.
    """
    owners: dict[str, str] = {}
    for module, plugin in zip(modules, plugins, strict=True):
        name = module.NAME
        if not isinstance(plugin, Plugin):
            raise UserError(
                f"build of the plugin {name!r} returned a {type(plugin).__name__}, expected a "
                "Plugin; return Plugin(name=NAME, ...)"
            )
        if plugin.name != name:
            raise UserError(
                f"the plugin {name!r} returned a Plugin named {plugin.name!r}, expected its own "
                "name; write Plugin(name=NAME, ...)"
            )
        for kind, part_class in _PARTS.items():
            for part in _sequence(name, kind, getattr(plugin, kind)):
                if not isinstance(part, part_class):
                    raise UserError(
                        f"the plugin {name!r} lists a {type(part).__name__} among its {kind}, "
                        f"expected a {part_class.__name__}; wrap it in one"
                    )
        _check_state(name, plugin.state, margin)
        for penalty in plugin.penalties:
            owner = owners.setdefault(penalty.name, name)
            if owner != name or sum(p.name == penalty.name for p in plugin.penalties) > 1:
                raise UserError(
                    f"the plugins {owner!r} and {name!r} have a penalty {penalty.name!r} each, "
                    "expected one of that name; rename one"
                )


def _sequence(plugin: str, kind: str, parts: Any) -> Sequence[Any]:
    if not isinstance(parts, tuple | list):
        raise UserError(
            f"the plugin {plugin!r} gives a {type(parts).__name__} for its {kind}, expected a "
            f"tuple; write {kind}=(..., )"
        )
    return parts


def _check_state(plugin: str, state: Any, margin: Any) -> None:
    if state is None:
        return
    if state is margin:
        raise UserError(
            f"the plugin {plugin!r} gives the run's margin as its state, but checkpoints keep a "
            "margin's buffers already; leave the state out"
        )
    missing = [part for part in ("state_dict", "load_state_dict") if not hasattr(state, part)]
    if missing:
        raise UserError(
            f"the state of the plugin {plugin!r} is a {type(state).__name__} without "
            f"{' and '.join(missing)}, expected an object with both; write them"
        )


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
    written_for = getattr(module, "CONTRACT", CONTRACT)
    if written_for != CONTRACT:
        raise UserError(
            f"the plugin {module.NAME!r} was written for contract {written_for}, this arcface-fair "
            f"has contract {CONTRACT}; install the version of one that fits the other"
        )
    return module

# SPDX-License-Identifier: MIT
"""Checks the config of an arcface_torch run before anything else is built.

A run without plugins is left as it is; only ``num_classes`` and ``num_image`` that are None are
filled from the data. A run with plugins is checked as the embedded trainer checks it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from arcface_fair import dist
from arcface_fair.data.training.dataset import FaceDataset, check_labels, open_dataset
from arcface_fair.errors import UserError, leave, print_sentence
from arcface_fair.hosts import build
from arcface_fair.hosts.ranks import shared_error
from arcface_fair.hosts.settings import IGNORED_KEYS, RunSettings, parse_run
from arcface_fair.hosts.upstream.devices import on_gpu
from arcface_fair.plugin.loading import (
    load_plugin_modules,
    parse_plugin_settings,
    with_current_names,
)
from arcface_fair.plugin.settings import check_choice

# Keys of the embedded trainer that this host does not read, with what it does instead.
FIXED = {
    "momentum": 0.9, "clip_norm": 5.0, "shift": 0, "bf16": False, "device": "auto", "norm": "batch",
    "best_by": "worst",
}  # fmt: skip
# Keys that upstream's own head and margin know nothing of.
_HEAD_KEYS = ("kernel", "head_memory_mib", "margin", "margin_gradient", "cifp")


@dataclass
class Configured:
    """What `configure` found. ``run`` is None for a run that keeps upstream's head."""

    modules: list[ModuleType] = field(default_factory=list)
    run: RunSettings | None = None
    ignored: list[str] = field(default_factory=list)
    flip: bool = True
    skip_bad_images: bool = False


_current = Configured()


def current() -> Configured:
    """What the last `configure` of this process found."""
    return _current


def configure(cfg: Any) -> None:
    """Checks ``cfg`` (upstream's EasyDict) and completes it in place.

    Raises UserError for plugins that are not installed, settings out of range, data that do not
    agree with the config, and loaders that plugins cannot work with.
    """
    sys.excepthook = functools.partial(_end, sys.excepthook, cfg)
    with dist.failing_together():
        _configure(cfg)


def _configure(cfg: Any) -> None:
    global _current
    renamed = with_current_names(cfg)
    if renamed is not cfg:
        cfg.update(renamed)
        for key in set(cfg) - set(renamed):
            cfg.pop(key)
    modules = load_plugin_modules(cfg.get("plugins") or ())
    _check_added_keys(cfg)
    _complete(cfg)
    # Upstream opens them on rank 0 alone, while the others wait for it in a collective.
    for name in cfg.val_targets:
        require_bin(os.path.join(cfg.rec, f"{name}.bin"))
    _current = Configured(
        modules=modules,
        flip=bool(cfg.get("flip", True)),
        skip_bad_images=bool(cfg.get("skip_bad_images", False)),
    )
    if not uses_our_head(cfg):
        return
    run, unknown = parse_run(cfg, {module.NAME for module in modules})
    parse_plugin_settings(modules, cfg)
    build.build_margin(run, modules)
    if modules:
        _check_loader(cfg)
        check_labels(faces(cfg.rec), cfg.num_classes)
    _current.run = run
    _current.ignored = [key for key in unknown if key not in IGNORED_KEYS] + [
        key for key, value in FIXED.items() if cfg.get(key, value) != value
    ]


def uses_our_head(cfg: Mapping[str, Any]) -> bool:
    """Whether the run's head is ours: with plugins, or where a key asks for what only it has."""
    return bool(cfg.get("plugins")) or any(key in cfg for key in _HEAD_KEYS)


@functools.lru_cache(maxsize=1)
def faces(folder: str) -> FaceDataset:
    """The run's images; the loader and the session share one reader."""
    return open_dataset(folder)


def require_bin(path: str) -> None:
    """Raises UserError where the .bin that val_targets names does not exist."""
    if not Path(path).is_file():
        raise UserError(
            f"config.val_targets names {path}, which does not exist; "
            "put the .bin beside the record or take its name out of val_targets"
        )


def _check_added_keys(cfg: Mapping[str, Any]) -> None:
    check_choice("config.lr_schedule", cfg.get("lr_schedule", "poly"), ("poly", "step"))
    compression = cfg.get("gradient_compression", "fp16")
    check_choice("config.gradient_compression", compression, ("none", "fp16"))


def _complete(cfg: Any) -> None:
    """Keys that our configs may leave out: upstream has no default, or one that does not fit.

    A job that lists plugins and says nothing of ``output`` gets a folder of its own, and keeps
    checkpoints, as in the embedded trainer; upstream's base would put all runs into one folder.
    """
    for key, value in (("warmup_epoch", 0), ("val_targets", [])):
        if key not in cfg:
            cfg[key] = value
    name, job = _job_file()
    if "plugins" in job:
        if "output" not in job:
            cfg.output = os.path.join("work_dirs", name)
        if "save_all_states" not in job:
            cfg.save_all_states = True
    if cfg.get("num_classes") is None:
        cfg.num_classes = faces(cfg.rec).num_classes
    if cfg.get("num_image") is None:
        cfg.num_image = faces(cfg.rec).num_images


def _job_file() -> tuple[str, Mapping[str, Any]]:
    """Name and keys of the job's config module, which upstream's get_config has imported."""
    for module in reversed(list(sys.modules)):
        package, _, name = module.partition(".")
        keys = getattr(sys.modules[module], "config", None)
        if package == "configs" and name not in ("", "base") and isinstance(keys, Mapping):
            return name, keys
    return "", {}


def _check_loader(cfg: Mapping[str, Any]) -> None:
    """Plugins take labels and images from any loader, and need the record for second looks."""
    if cfg["rec"] == "synthetic":
        raise UserError(
            "config.rec is 'synthetic', which holds no people; plugins need a record or a folder "
            "of images, set config.rec to one or config.plugins = []"
        )
    if cfg.get("dali") and not on_gpu():
        raise UserError(
            "config.dali is True but torch finds no GPU, which DALI needs; set config.dali = False"
        )
    if cfg.get("dali") and not (Path(cfg["rec"]) / "train.rec").is_file():
        raise UserError(
            f"config.dali is True but {os.path.join(cfg['rec'], 'train.rec')} does not exist, and "
            "DALI reads records only; set config.dali = False"
        )


def _end(
    before: Any, cfg: Any, kind: type[BaseException], error: BaseException, trace: TracebackType
) -> None:
    """Ends the process with one sentence and exit code 2 for what a user can put right."""
    shared = shared_error(error, cfg.get("output"))
    if shared is None:
        before(kind, error, trace)
        return
    print_sentence(shared)
    leave(2)  # a hook that returns would end with code 1

# SPDX-License-Identifier: MIT
"""The parts of an arcface_torch run by config: network, margin, head, schedule, compression.

Each takes upstream's own class or function first and gives back what the run shall use. A run
that sets none of our keys and lists no plugin gets exactly upstream's part.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from arcface_fair.backbones import BACKBONES
from arcface_fair.backbones import get_model as our_model
from arcface_fair.head import PartialFC
from arcface_fair.hosts import build
from arcface_fair.hosts.schedules import build_schedule
from arcface_fair.hosts.upstream.config import current
from arcface_fair.run.pretrained import start_from

LOGGER = logging.getLogger("arcface_fair")


def build_backbone(
    get_model: Callable[..., nn.Module], cfg: Any, name: str, **options: Any
) -> nn.Module:
    """Upstream's network ``name``, or ours where upstream has none.

    ``dropout`` by config; starts from ``init_backbone`` where the config names a file.
    """
    options["dropout"] = cfg.get("dropout", options.get("dropout", 0.0))
    backbone = _built(get_model, name, options)
    if cfg.get("init_backbone") is not None and not cfg.get("resume"):
        for sentence in start_from(backbone, name, cfg.init_backbone).sentences():
            LOGGER.info("%s", sentence)
    return backbone


def _built(get_model: Callable[..., nn.Module], name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return get_model(name, **options)
    except ValueError:
        if name not in BACKBONES:
            raise
    return our_model(name, **options)


def register_comm_hook(ddp: Any, cfg: Any, hook: Callable[..., Any]) -> None:
    """Rounds the backbone's gradients to float16 unless ``gradient_compression`` is "none"."""
    if cfg.get("gradient_compression", "fp16") == "fp16":
        ddp.register_comm_hook(None, hook)


def build_margin(margin_class: Callable[..., Any], cfg: Any, s: float, *margins: float) -> Any:
    """The margin: ours for our head, else upstream's, with ``margin_scale`` for its fixed ``s``."""
    run = current().run
    if run is not None:
        return build.build_margin(run, current().modules)
    return margin_class(cfg.get("margin_scale", s), *margins)


def head_class(upstreams: Callable[..., nn.Module], cfg: Any) -> Callable[..., nn.Module]:
    """The class of the head: ours with plugins or keys that only it knows, else upstream's."""
    run = current().run
    if run is None:
        return upstreams
    return functools.partial(
        PartialFC, kernel=run.kernel, memory_budget_mib=run.head_memory_mib, seed=run.seed
    )


def choose_schedule(scheduler: Any, cfg: Any, optimizer: torch.optim.Optimizer) -> Any:
    """Upstream's schedule for ``lr_schedule`` "poly"; for "step" ours, with the same warm-up."""
    if cfg.get("lr_schedule", "poly") == "poly":
        return scheduler
    for group in optimizer.param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])  # upstream's has changed it already
    return build_schedule(
        optimizer,
        "step",
        steps_per_epoch=cfg.total_step // cfg.num_epoch,
        num_epochs=cfg.num_epoch,
        warmup_epochs=cfg.warmup_epoch,
        drop_epochs=tuple(cfg.get("lr_steps", ())),
    )

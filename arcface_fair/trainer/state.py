# SPDX-License-Identifier: MIT
"""What of a run goes into its checkpoint, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from arcface_fair import dist

if TYPE_CHECKING:
    from arcface_fair.trainer.loop import Trainer


def run_facts(trainer: Trainer) -> dict[str, Any]:
    """What a checkpoint and the run that resumes from it must agree on."""
    run = trainer.run
    return {
        "network": run.network,
        "embedding_size": run.embedding_size,
        "num_classes": trainer.num_classes,
        "batch_size": run.batch_size,
        "world_size": dist.world_size(),
    }


def collect_state(trainer: Trainer, epoch: int, step: int) -> dict[str, Any]:
    """This rank's checkpoint: go on at ``step`` (from 0) of ``epoch`` (from 0).

    The first six keys are upstream's. Random states are torch tensors, since NumPy's would not
    load with ``weights_only=True``.
    """
    session = trainer.session
    rng = {"cpu": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        rng["cuda"] = torch.cuda.get_rng_state(trainer.device)
    return {
        "epoch": epoch,
        "global_step": session.global_step,
        "state_dict_backbone": trainer.backbone.state_dict(),
        "state_dict_softmax_fc": trainer.head.state_dict(),
        "state_optimizer": trainer.optimizer.state_dict(),
        "state_lr_scheduler": trainer.schedule.state_dict(),
        "step": step,
        "scaler": trainer.scaler.state_dict(),
        "rng": rng,
        "pending_gradients": _pending_gradients(trainer),
        "plugins": session.state_dict(),
        "facts": run_facts(trainer),
    }


def restore_state(trainer: Trainer, state: dict[str, Any]) -> None:
    """Takes back what `collect_state` gave, except the random state (`restore_rng`)."""
    trainer.backbone.load_state_dict(state["state_dict_backbone"])
    trainer.head.load_state_dict(state["state_dict_softmax_fc"])
    trainer.optimizer.load_state_dict(state["state_optimizer"])
    trainer.schedule.load_state_dict(state["state_lr_scheduler"])
    trainer.scaler.load_state_dict(state.get("scaler", {}))
    trainer.session.load_state_dict(state.get("plugins", {}))
    trainer.session.global_step = state["global_step"]
    for parameter, gradient in zip(
        _parameters(trainer), state.get("pending_gradients") or [], strict=False
    ):
        if gradient is not None:
            parameter.grad = gradient.to(parameter.device)


def restore_rng(trainer: Trainer, state: dict[str, Any]) -> None:
    """Puts the random generators where the checkpoint left them."""
    rng = state.get("rng")
    if rng is None:
        return  # upstream's checkpoints hold none
    torch.set_rng_state(rng["cpu"])
    if "cuda" in rng and trainer.device.type == "cuda":
        torch.cuda.set_rng_state(rng["cuda"], trainer.device)


def _parameters(trainer: Trainer) -> list[torch.nn.Parameter]:
    return [p for group in trainer.optimizer.param_groups for p in group["params"]]


def _pending_gradients(trainer: Trainer) -> list[torch.Tensor | None] | None:
    """Gradients that wait for the rest of an accumulation; None between optimiser steps."""
    if trainer.session.global_step % trainer.run.gradient_acc == 0:
        return None
    return [None if p.grad is None else p.grad.clone() for p in _parameters(trainer)]

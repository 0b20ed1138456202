# SPDX-License-Identifier: MIT
"""What of a run goes into its checkpoint, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from arcface_fair import dist
from arcface_fair.run.reshard import move_to_batch

if TYPE_CHECKING:
    from arcface_fair.hosts.embedded.loop import Trainer


def run_facts(trainer: Trainer) -> dict[str, Any]:
    """What a checkpoint says of its run; all but the last two must stay as they are on resume."""
    run = trainer.run
    return {
        "network": run.network,
        "embedding_size": run.embedding_size,
        "num_classes": trainer.num_classes,
        "global_batch": run.batch_size * dist.world_size(),
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
        **trainer.margin.entry(),
        "facts": run_facts(trainer),
    }


def fit_to_run(trainer: Trainer, state: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``state`` for this run's number of processes and global batch, and what changed, in words.

    With the former global batch a run goes on at the very images where it stood, whatever the
    number of processes. With another one the step within the epoch is counted anew from the
    images seen, down to a whole batch.
    """
    now = run_facts(trainer)
    before = state.get("facts", {}).get("global_batch", now["global_batch"])
    notes = []
    if state["written_by"] != now["world_size"]:
        notes.append(
            f"the checkpoint of {state['written_by']} processes was re-cut for {now['world_size']}"
        )
    if before != now["global_batch"]:
        images = trainer.batches.num_images
        state = move_to_batch(state, images, before, now["global_batch"])
        notes.append(
            f"the global batch was {before} images and is {now['global_batch']}: going on in epoch "
            f"{state['epoch']} at step {state.get('step', 0)}, the last whole batch that was seen"
        )
    return state, notes


def restore_state(trainer: Trainer, state: dict[str, Any]) -> None:
    """Takes back what `collect_state` gave, except the random state (`restore_rng`)."""
    trainer.margin.restore(state)
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

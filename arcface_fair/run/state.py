# SPDX-License-Identifier: MIT
"""What of a run goes into its checkpoint, and back: the same for both hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from arcface_fair import dist
from arcface_fair.plugin.margins import KeptMargin
from arcface_fair.plugin.session import Session
from arcface_fair.run.checkpoint import load_checkpoint
from arcface_fair.run.reshard import move_to_batch


def run_metadata(
    network: str, embedding_size: int, num_classes: int, batch_size: int
) -> dict[str, Any]:
    """What a checkpoint says of its run; all but the last two must stay as they are on resume."""
    return {
        "network": network,
        "embedding_size": embedding_size,
        "num_classes": num_classes,
        "global_batch": batch_size * dist.world_size(),
        "world_size": dist.world_size(),
    }


@dataclass(kw_only=True)
class RunState:
    """The parts of a run that have a state. ``backbone`` is bare, ``session`` None without plugins.

    metadata: what `run_metadata` gives.  gradient_acc: micro-steps per optimiser step.
    epoch_rng: the CPU's random state when the epoch began, for hosts whose loader draws from it.
    """

    backbone: nn.Module
    head: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Any
    scaler: Any
    margin: KeptMargin
    session: Session | None
    metadata: dict[str, Any]
    gradient_acc: int
    device: torch.device
    epoch_rng: torch.Tensor | None = None

    def collect(self, epoch: int, global_step: int, step: int) -> dict[str, Any]:
        """This rank's checkpoint: go on at ``step`` (from 0) of ``epoch`` (from 0)."""
        return self._upstream_keys(epoch, global_step) | self.added_keys(global_step, step)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes back what `collect` gave, but for the random state (`restore_rng`)."""
        self.backbone.load_state_dict(state["state_dict_backbone"])
        self.head.load_state_dict(state["state_dict_softmax_fc"])
        self.optimizer.load_state_dict(state["state_optimizer"])
        self.schedule.load_state_dict(state["state_lr_scheduler"])
        self.restore_added_keys(state)

    def _upstream_keys(self, epoch: int, global_step: int) -> dict[str, Any]:
        """The keys that arcface_torch writes too."""
        return {
            "epoch": epoch,
            "global_step": global_step,
            "state_dict_backbone": self.backbone.state_dict(),
            "state_dict_softmax_fc": self.head.state_dict(),
            "state_optimizer": self.optimizer.state_dict(),
            "state_lr_scheduler": self.schedule.state_dict(),
        }

    def added_keys(self, global_step: int, step: int) -> dict[str, Any]:
        """Our keys, for a host that writes arcface_torch's itself."""
        # Tensors, since NumPy's random states would not load with weights_only=True.
        rng = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state(self.device)
        accumulating = global_step % self.gradient_acc != 0
        return {
            "step": step,
            "scaler": {} if self.scaler is None else self.scaler.state_dict(),
            "rng": rng,
            **({} if self.epoch_rng is None else {"epoch_rng": self.epoch_rng}),
            "pending_gradients": self._gradients() if accumulating else None,
            "plugins": {} if self.session is None else self.session.state_dict(),
            **self.margin.entry(),
            "facts": self.metadata,
        }

    def restore_added_keys(self, state: Mapping[str, Any]) -> None:
        """Takes back what `added_keys` gave, but for the random state."""
        self.margin.restore(state)
        if self.scaler is not None:
            self.scaler.load_state_dict(state.get("scaler", {}))
        if self.session is not None:
            self.session.load_state_dict(state.get("plugins", {}))
            self.session.global_step = state["global_step"]
        gradients = state.get("pending_gradients") or []
        for parameter, gradient in zip(self._parameters(), gradients, strict=False):
            if gradient is not None:
                parameter.grad = gradient.to(parameter.device)

    def restore_rng(self, state: Mapping[str, Any]) -> None:
        """Puts the random generators where the checkpoint left them."""
        rng = state.get("rng")
        if rng is None:
            return  # arcface_torch's own checkpoint, or one of another number of processes
        torch.set_rng_state(rng["cpu"])
        if "cuda" in rng and self.device.type == "cuda":
            torch.cuda.set_rng_state(rng["cuda"], self.device)

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _gradients(self) -> list[torch.Tensor | None]:
        return [None if p.grad is None else p.grad.clone() for p in self._parameters()]


def load_for_run(
    folder: Path, metadata: Mapping[str, Any], batch_size: int, num_images: int
) -> tuple[dict[str, Any], list[str]]:
    """This rank's checkpoint for the present ranks and global batch, and what changed, in words.

    With the former global batch a run goes on at the very images where it stood, whatever the
    number of processes. With another one the step within the epoch is counted anew from the
    images seen, down to a whole batch. Raises UserError on every rank for missing, damaged or
    foreign files.
    """
    state = load_checkpoint(folder, dict(metadata))
    # arcface_torch's own files do not say their batch; its size per process is the config's.
    unstated = batch_size * state["written_by"]
    before, now = state.get("facts", {}).get("global_batch", unstated), metadata["global_batch"]
    changes = []
    if state["written_by"] != metadata["world_size"]:
        changes.append(
            f"the checkpoint of {state['written_by']} processes was resharded for "
            f"{metadata['world_size']}"
        )
    if before != now:
        state = move_to_batch(state, num_images, before, now)
        changes.append(
            f"the global batch was {before} images and is {now}: going on in epoch "
            f"{state['epoch']} at step {state.get('step', 0)}, the last whole batch that was seen"
        )
    return state, changes

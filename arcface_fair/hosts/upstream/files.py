# SPDX-License-Identifier: MIT
"""Checkpoints of an arcface_torch run: written whole, re-cut for another number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arcface_fair import dist
from arcface_fair.run import checkpoint, reshard


def facts(cfg: Any) -> dict[str, Any]:
    """What a checkpoint says of its run; all but the last two must stay as they are on resume."""
    return {
        "network": cfg.network,
        "embedding_size": cfg.embedding_size,
        "num_classes": cfg.num_classes,
        "global_batch": cfg.batch_size * dist.world_size(),
        "world_size": dist.world_size(),
    }


def save_checkpoint(cfg: Any, state: dict[str, Any]) -> None:
    """Writes this rank's checkpoint whole or not at all; call it on all ranks."""
    checkpoint.save_checkpoint(Path(cfg.output), state)


def load_checkpoint(cfg: Any) -> dict[str, Any]:
    """This rank's state to go on from, out of our files or upstream's own.

    Where another number of processes wrote them, class centres and their momentum are dealt
    anew; with another global batch, steps are counted in the new one. Raises UserError on every
    rank for missing, damaged or foreign files.
    """
    now = facts(cfg)
    state = checkpoint.load_checkpoint(Path(cfg.output), now)
    # Upstream's own files do not tell their batch; its size per process is the config's.
    unsaid = cfg.batch_size * state["written_by"]
    before = state.get("facts", {}).get("global_batch", unsaid)
    return reshard.move_to_batch(state, cfg.num_image, before, now["global_batch"])

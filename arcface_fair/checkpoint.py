# SPDX-License-Identifier: MIT
"""Everything a run needs to go on, written whole or not at all.

Each rank writes ``checkpoint_gpu_{rank}.pt``, under upstream's keys (epoch, global_step,
state_dict_backbone, state_dict_softmax_fc, state_optimizer, state_lr_scheduler) and ours (step,
scaler, rng, plugins, facts). A checkpoint becomes visible by renames after all ranks have written;
the one before it stays as ``checkpoint_gpu_{rank}.previous.pt``, so that a run killed between the
renames of two ranks still finds a step that every rank holds.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError

UPSTREAM_KEYS = (
    "epoch",
    "global_step",
    "state_dict_backbone",
    "state_dict_softmax_fc",
    "state_optimizer",
    "state_lr_scheduler",
)


def checkpoint_path(folder: Path, rank: int) -> Path:
    """The newest checkpoint of ``rank``."""
    return folder / f"checkpoint_gpu_{rank}.pt"


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous.pt")


def write_atomically(value: Any, path: Path) -> None:
    """``torch.save`` that leaves either the whole new file or what was there before."""
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        torch.save(value, scratch)
        os.replace(scratch, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; free space or choose another config.output"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Writes this rank's state; call it on all ranks with the same global step."""
    path = checkpoint_path(folder, dist.rank())
    fresh = path.with_suffix(".new.pt")
    error: UserError | None = None
    try:
        write_atomically(state, fresh)
    except UserError as caught:
        error = caught
    dist.raise_together(error)
    if path.exists():
        os.replace(path, _previous(path))
    os.replace(fresh, path)
    dist.barrier()


def keep_model(folder: Path, epoch: int, backbone: dict[str, Any], centres: Tensor) -> None:
    """Keeps the network after ``epoch`` (from 0) for good; call it on all ranks.

    Rank 0 writes ``model_epoch_E.pt``, a backbone as ``model.pt`` is one; every rank writes its
    rows of the class centres, ``centres_epoch_E_gpu_R.pt``: {"weight": float [local classes, D]}.
    """
    error: UserError | None = None
    try:
        write_atomically({"weight": centres}, kept_centres_path(folder, epoch, dist.rank()))
        if dist.rank() == 0:
            write_atomically(backbone, kept_model_path(folder, epoch))
    except UserError as caught:
        error = caught
    dist.raise_together(error)


def kept_model_path(folder: Path, epoch: int) -> Path:
    """Where `keep_model` puts the backbone of ``epoch``."""
    return folder / f"model_epoch_{epoch}.pt"


def kept_centres_path(folder: Path, epoch: int, rank: int) -> Path:
    """Where `keep_model` puts the class centres that ``rank`` held after ``epoch``."""
    return folder / f"centres_epoch_{epoch}_gpu_{rank}.pt"


def load_checkpoint(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """This rank's state of the newest step that all ranks hold.

    ``facts`` (network, embedding_size, num_classes, world_size, plugins...) must equal those of the
    checkpoint. Raises UserError on every rank when there is no checkpoint, when it belongs to
    another run, or when the ranks hold no common step.
    """
    found: dict[int, dict[str, Any]] = {}
    error: UserError | None = None
    try:
        found = readable_states(folder, dist.rank())
        for state in found.values():
            check_facts(state.get("facts", {}), facts, folder)
    except UserError as caught:
        error = caught
    dist.raise_together(error)
    common = set.intersection(*(set(steps) for steps in dist.gather_objects(list(found))))
    if not common:
        raise UserError(
            f"the ranks' checkpoints in {folder} are of different steps, expected one step that "
            "all hold; copy the files of one run into the folder, or start without resume"
        )
    return found[max(common)]


def readable_states(folder: Path, rank: int) -> dict[int, dict[str, Any]]:
    """The checkpoints of ``rank`` that lie in ``folder``, by global step."""
    path = checkpoint_path(folder, rank)
    states = [
        read_state(p) for p in (path, _previous(path), path.with_suffix(".new.pt")) if p.is_file()
    ]
    if not states:
        raise UserError(
            f"config.resume is set but {path} does not exist; "
            "start without resume, or set config.output to the folder of the run to go on with"
        )
    return {state["global_step"]: state for state in states}


def read_state(path: Path) -> dict[str, Any]:
    """One rank's checkpoint. Raises UserError for a file that is none, damaged or foreign."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); "
            "delete the damaged file or restore it from a copy"
        ) from error
    missing = [key for key in UPSTREAM_KEYS if not isinstance(state, dict) or key not in state]
    if missing:
        raise UserError(
            f"{path} has no {missing[0]!r}, expected a checkpoint of a training run; "
            "point config.output to a run's folder"
        )
    return state


def check_facts(found: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    """Raises UserError for the first fact in which the checkpoint and this run differ."""
    for key, value in expected.items():
        if key in found and found[key] != value:
            raise UserError(
                f"the checkpoint in {folder} was written with {key} {found[key]!r}, "
                f"this run has {value!r}; resume with the same {key}, or start a new output folder"
            )

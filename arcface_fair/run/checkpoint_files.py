# SPDX-License-Identifier: MIT
"""Finds a run's checkpoint files, and says which of them belong to one moment of the run.

A folder may hold the files of two moments (newest and previous), and of two numbers of ranks
after a run went on with fewer of them.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arcface_fair.errors import UserError

UPSTREAM_KEYS = (
    "epoch",
    "global_step",
    "state_dict_backbone",
    "state_dict_softmax_fc",
    "state_optimizer",
    "state_lr_scheduler",
)
_PART = re.compile(r"checkpoint_gpu_(\d+)(\.previous|\.new)?\.pt")


def checkpoint_path(folder: Path, rank: int) -> Path:
    """The newest checkpoint of ``rank``."""
    return folder / f"checkpoint_gpu_{rank}.pt"


@dataclass(frozen=True, order=True)
class Save:
    """One moment of a run that was saved; later ones are larger, whatever the batch was."""

    epoch: int
    images: int  # of the epoch, seen by all ranks together
    global_step: int
    world_size: int


def ranks_named(folder: Path) -> int:
    """One more than the highest rank of which a file lies in ``folder``; 0 without any."""
    return max((rank + 1 for rank in _files(folder).values()), default=0)


def find_saves(folder: Path, count: int | None = None) -> dict[Save, dict[int, Path]]:
    """The checkpoint parts in ``folder``, by save and rank, complete or not.

    count: the ranks that wrote files which do not tell (arcface_torch's); None: as many as the
    files' names say. Tensors are not read. Raises UserError for a file that is no checkpoint.
    """
    files = _files(folder)
    count = ranks_named(folder) if count is None else count
    saves: dict[Save, dict[int, Path]] = {}
    for path, rank in files.items():
        state = read_state(path, mapped=True)
        facts = state.get("facts", {})
        save = Save(
            state["epoch"],
            state.get("step", 0) * facts.get("global_batch", 1),
            state["global_step"],
            facts.get("world_size", count),
        )
        saves.setdefault(save, {})[rank] = path
    return saves


def _files(folder: Path) -> dict[Path, int]:
    """Checkpoint files with their ranks."""
    return {
        path: int(found[1])
        for path in sorted(folder.glob("checkpoint_gpu_*.pt"))
        if (found := _PART.fullmatch(path.name))
    }


def read_parts(folder: Path) -> list[dict[str, Any]]:
    """The parts of the newest whole save in ``folder``, by rank, for `arcface_fair.run.reshard`.

    Their tensors are mapped, not read. Raises UserError where there is no whole save.
    """
    seen = find_saves(folder)
    save = newest_save(folder, [{save: set(parts) for save, parts in seen.items()}])
    return [read_state(seen[save][rank], mapped=True) for rank in range(save.world_size)]


def newest_save(folder: Path, seen_by_ranks: list[dict[Save, set[int]]]) -> Save:
    """The newest save of which every part is seen by some rank."""
    parts: dict[Save, set[int]] = {}
    for seen in seen_by_ranks:
        for save, ranks in seen.items():
            parts.setdefault(save, set()).update(ranks)
    whole = [save for save, ranks in parts.items() if ranks >= set(range(save.world_size))]
    if whole:
        return max(whole)
    if not parts:
        raise UserError(
            f"config.resume is set but {checkpoint_path(folder, 0)} does not exist; "
            "start without resume, or set config.output to the folder of the run to go on with"
        )
    if len(parts) == 1:
        (save,) = parts
        missing = min(set(range(save.world_size)) - parts[save])
        raise UserError(
            f"{folder} lacks {checkpoint_path(folder, missing).name}, one of {save.world_size} "
            "parts of its checkpoint; copy the missing part into the folder"
        )
    raise UserError(
        f"the ranks' checkpoints in {folder} are of different steps, expected one step that "
        "all hold; copy the files of one run into the folder, or start without resume"
    )


def read_state(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """One rank's checkpoint. Raises UserError for a file that is none, damaged or foreign.

    mapped: tensors stay in the file until they are used.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
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

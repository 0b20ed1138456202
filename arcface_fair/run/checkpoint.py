# SPDX-License-Identifier: MIT
"""Everything a run needs to go on, written whole or not at all.

Each rank writes ``checkpoint_gpu_{rank}.pt``, under upstream's keys (epoch, global_step,
state_dict_backbone, state_dict_softmax_fc, state_optimizer, state_lr_scheduler) and ours (step,
scaler, rng, plugins, facts). A checkpoint becomes visible by renames after all ranks have written;
the one before it stays as ``checkpoint_gpu_{rank}.previous.pt``, so that a run killed between the
renames of two ranks still finds a step that every rank holds. A run that resumes with another
number of ranks gets the parts resharded; parts of ranks that are no more stay where they are.

Finds a run's checkpoint files, and says which of them belong to one moment of the run.

A folder may hold the files of two moments (newest and previous), and of two numbers of ranks
after a run went on with fewer of them.
"""

from __future__ import annotations

import os
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head import shard_of
from arcface_fair.run import reshard

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
        metadata = state.get("facts", {})
        save = Save(
            state["epoch"],
            state.get("step", 0) * metadata.get("global_batch", 1),
            state["global_step"],
            metadata.get("world_size", count),
        )
        saves.setdefault(save, {})[rank] = path
    return saves


def _files(folder: Path) -> dict[Path, int]:
    """Checkpoint files with their ranks."""
    return {
        path: int(match[1])
        for path in sorted(folder.glob("checkpoint_gpu_*.pt"))
        if (match := _PART.fullmatch(path.name))
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


__all__ = [
    "FREE_METADATA",
    "UPSTREAM_KEYS",
    "check_metadata",
    "checkpoint_path",
    "keep_model",
    "kept_centres_path",
    "kept_model_path",
    "load_checkpoint",
    "read_state",
    "save_checkpoint",
    "write_atomically",
]

# What a run may change when it resumes: the parts are resharded, the step is counted anew.
FREE_METADATA = ("world_size", "global_batch")


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous.pt")


def write_atomically(value: Any, path: Path) -> None:
    """``torch.save`` that leaves either the whole new file or what was there before."""
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with open(scratch, "wb") as file:
            torch.save(value, file)
        os.replace(scratch, path)
    except (OSError, RuntimeError) as error:
        # torch answers a full disk with an error of its own and keeps the disk's as its context.
        problem = error if isinstance(error, OSError) else error.__context__
        if not isinstance(problem, OSError):
            raise
        raise UserError(
            f"cannot write {path}: {problem.strerror}; free space or choose another config.output"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Writes this rank's state; call it on all ranks with the same global step."""
    path = checkpoint_path(folder, dist.rank())
    fresh = path.with_suffix(".new.pt")
    with dist.failing_together():
        write_atomically(state, fresh)
    if path.exists():
        os.replace(path, _previous(path))
    os.replace(fresh, path)
    dist.barrier()


def keep_model(folder: Path, epoch: int, backbone: dict[str, Any], centres: Tensor) -> None:
    """Keeps the network after ``epoch`` (from 0) for good; call it on all ranks.

    Rank 0 writes ``model_epoch_E.pt``, a backbone as ``model.pt`` is one; every rank writes its
    rows of the class centres, ``centres_epoch_E_gpu_R.pt``: {"weight": float [local classes, D]}.
    """
    with dist.failing_together():
        write_atomically({"weight": centres}, kept_centres_path(folder, epoch, dist.rank()))
        if dist.rank() == 0:
            write_atomically(backbone, kept_model_path(folder, epoch))


def kept_model_path(folder: Path, epoch: int) -> Path:
    """Where `keep_model` puts the backbone of ``epoch``."""
    return folder / f"model_epoch_{epoch}.pt"


def kept_centres_path(folder: Path, epoch: int, rank: int) -> Path:
    """Where `keep_model` puts the class centres that ``rank`` held after ``epoch``."""
    return folder / f"centres_epoch_{epoch}_gpu_{rank}.pt"


def load_checkpoint(folder: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """This rank's state of the newest step that all ranks hold, resharded where R has changed.

    ``metadata`` (network, embedding_size, num_classes...) must equal those of the checkpoint;
    those of `FREE_METADATA` may differ. The state says under "written_by" how many ranks wrote it.
    With as many ranks as then every rank needs its own file alone, else all ranks need all files.
    Raises UserError on every rank when there is no checkpoint, when it belongs to another run, or
    when its parts are not of one step.
    """
    seen: dict[Save, dict[int, Path]] = {}
    # Every machine may hold the parts of its own ranks only.
    count = max(dist.gather_objects(ranks_named(folder)))
    with dist.failing_together():
        seen = find_saves(folder, count)
    save = newest_save(
        folder, dist.gather_objects({save: set(parts) for save, parts in seen.items()})
    )
    state: dict[str, Any] = {}
    with dist.failing_together():
        state = _own_state(folder, save, seen.get(save, {}))
        check_metadata(state.get("facts", {}), metadata, folder)
        _check_classes(state, metadata, folder)
    return state | {"written_by": save.world_size}


def _own_state(folder: Path, save: Save, seen: dict[int, Path]) -> dict[str, Any]:
    """This rank's part of ``save``, cut out of all parts if the number of ranks has changed."""
    rank, world_size = dist.rank(), dist.world_size()
    wanted = [rank] if save.world_size == world_size else list(range(save.world_size))
    missing = [r for r in wanted if r not in seen]
    if missing:
        remedy = "copy it there"
        if save.world_size != world_size:
            remedy = (
                f"to resume with {world_size} processes instead of {save.world_size}, put all "
                "parts of the checkpoint into a folder that every machine reads"
            )
        raise UserError(
            f"rank {rank} does not find {checkpoint_path(folder, missing[0])}; {remedy}"
        )
    if save.world_size == world_size:
        return read_state(seen[rank])
    states = [read_state(seen[r], mapped=True) for r in wanted]
    if rank == 0:  # raised on all ranks below; the others need not read all parts again
        reshard.check_parts(states)
    return reshard.cut(states, rank, world_size)


def _check_classes(state: dict[str, Any], metadata: dict[str, Any], folder: Path) -> None:
    """arcface_torch's files do not tell the number of classes; their class centres do."""
    if "num_classes" not in metadata:
        return
    held = len(state["state_dict_softmax_fc"]["weight"])
    expected = len(shard_of(metadata["num_classes"], dist.rank(), dist.world_size()))
    if held != expected:
        raise UserError(
            f"the checkpoint in {folder} gives rank {dist.rank()} {held} classes, this run of "
            f"{metadata['num_classes']} classes wants {expected}; resume with the data of that "
            "run, and with all of its parts in the folder"
        )


def check_metadata(written: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    """Raises UserError for the first fact in which the checkpoint and this run differ."""
    for key, value in expected.items():
        if key not in FREE_METADATA and key in written and written[key] != value:
            raise UserError(
                f"the checkpoint in {folder} was written with {key} {written[key]!r}, "
                f"this run has {value!r}; resume with the same {key}, or start a new output folder"
            )

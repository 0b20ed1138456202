# SPDX-License-Identifier: MIT
"""Re-cuts the checkpoints of R ranks into those of any other number, tensor by tensor.

What a rank holds alone is cut along the classes: the class centres `weight` [num_local, D], their
momentum or Adam buffers, their gradients that wait for the rest of an accumulation. Everything
else is the same on all ranks and is taken from rank 0: backbone with its BatchNorm statistics
(the ones that model.pt holds), its optimiser state, schedule, scaler, plugin state, and the
random state, because all ranks of a fresh run start from one seed.

Pure functions of dictionaries, for checkpoints of either trainer (arcface_torch's hold the first
six keys only). Parts opened with ``torch.load(..., mmap=True)`` are read only where they are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.head.sampling import shard_of

State = dict[str, Any]

# What every rank counts for itself between checkpoints; all else in a backbone agrees by DDP.
_OWN_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_PROGRESS = ("epoch", "global_step", "step")


def reshard_states(states: Sequence[State], world_size: int) -> list[State]:
    """The checkpoints of ranks 0..R-1, in that order, as those of ``world_size`` ranks.

    R -> world_size -> R gives back rank 0's bytes of every tensor, and every rank's own bytes of
    what is cut. Raises UserError where the parts do not belong together (`check_parts`).
    """
    check_parts(states)
    return [cut(states, rank, world_size) for rank in range(world_size)]


def merge_states(states: Sequence[State]) -> State:
    """The checkpoints of all ranks as one process's."""
    return reshard_states(states, 1)[0]


def cut(states: Sequence[State], rank: int, world_size: int) -> State:
    """What ``rank`` of ``world_size`` ranks goes on with; ``states`` of all former ranks.

    The parts must belong together (`check_parts`), which is not looked at again here.
    """
    check_world_size(states, world_size)
    rows = shard_of(class_count(states), rank, world_size)
    new = dict(states[0])
    new["state_dict_softmax_fc"] = {
        name: _rows_of([state["state_dict_softmax_fc"][name] for state in states], rows)
        for name in states[0]["state_dict_softmax_fc"]
    }
    new["state_optimizer"] = _cut_optimizer([s["state_optimizer"] for s in states], rows)
    if states[0].get("pending_gradients"):
        new["pending_gradients"] = _cut_gradients(states, rows)
    if "facts" in new:
        new["facts"] = {**new["facts"], "world_size": world_size}
    return new


def check_world_size(states: Sequence[State], world_size: int) -> None:
    """Raises UserError unless every one of ``world_size`` ranks would hold a class."""
    num_classes = class_count(states)
    if not 0 < world_size <= num_classes:
        raise UserError(
            f"the classifier has {num_classes} classes and cannot be cut for {world_size} "
            "processes; choose a number from 1 to the number of classes"
        )


def class_count(states: Sequence[State]) -> int:
    """Classes in all parts together."""
    return sum(len(state["state_dict_softmax_fc"]["weight"]) for state in states)


def move_to_batch(state: State, num_images: int, old_batch: int, new_batch: int) -> State:
    """``state`` for a run whose global batch is ``new_batch`` images instead of ``old_batch``.

    The epoch stays. The step within it becomes the number of whole new batches among the images
    that were seen, so that up to one batch is seen twice and none is left out; global step and
    schedule move to where an uninterrupted run with the new batch would stand. Gradients that wait
    for the rest of an accumulation are dropped. With an equal batch nothing changes.
    """
    if old_batch == new_batch:
        return state
    step = state.get("step", 0) * old_batch // new_batch
    step = min(step, num_images // new_batch)
    global_step = state["epoch"] * (num_images // new_batch) + step
    schedule = {
        **state["state_lr_scheduler"],
        "last_epoch": global_step,
        "_step_count": global_step + 1,
    }
    moved = {**state, "global_step": global_step, "state_lr_scheduler": schedule}
    for key, value in (("step", step), ("pending_gradients", None)):
        if key in state:
            moved[key] = value
    return moved


def check_parts(states: Sequence[State]) -> None:
    """Raises UserError unless ``states`` are the parts of one checkpoint, in the order of ranks.

    Compared are epoch and steps, the metadata of the run, the hash of the backbone's parameters
    (all ranks hold the same), and the number of classes of every part.
    """
    if not states:
        raise UserError("no checkpoint parts were given; give those of all ranks, from rank 0 on")
    first = states[0]
    for rank, state in enumerate(states):
        for key in _PROGRESS:
            _check_equal(f"is of {key}", rank, state.get(key, 0), first.get(key, 0))
        for key, value in first.get("facts", {}).items():
            written = state.get("facts", {}).get(key)
            _check_equal(f"was written with {key}", rank, written, value)
        _check_equal(
            "holds a backbone with hash",
            rank,
            backbone_hash(state["state_dict_backbone"]),
            backbone_hash(first["state_dict_backbone"]),
        )
    _check_class_counts(states)


def backbone_hash(state_dict: Mapping[str, Tensor]) -> str:
    """First 16 hex digits of SHA-256 over the parameters, which are equal on all ranks."""
    digest = hashlib.sha256()
    for name, tensor in state_dict.items():
        if not name.endswith(_OWN_BUFFERS):
            digest.update(name.encode())
            bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(bits.numpy().data)
    return digest.hexdigest()[:16]


def _check_equal(what: str, rank: int, written: object, expected: object) -> None:
    if written != expected:
        raise UserError(
            f"the checkpoint of rank {rank} {what} {written}, that of rank 0 {expected}; "
            "put the parts of one and the same save into the folder"
        )


def _check_class_counts(states: Sequence[State]) -> None:
    metadata = states[0].get("facts", {})
    total, world_size = class_count(states), len(states)
    if metadata.get("world_size", world_size) != world_size:
        raise UserError(
            f"{world_size} checkpoint parts were found, but they were written by "
            f"{metadata['world_size']} processes; give the parts of all of them"
        )
    if metadata.get("num_classes", total) != total:
        raise UserError(
            f"the checkpoint's parts hold {total} classes together, the run has "
            f"{metadata['num_classes']}; put the parts of all ranks into the folder"
        )
    for rank, state in enumerate(states):
        held = len(state["state_dict_softmax_fc"]["weight"])
        expected = len(shard_of(total, rank, world_size))
        if held != expected:
            raise UserError(
                f"the checkpoint of rank {rank} holds {held} classes, expected {expected} of "
                f"{total} on {world_size} processes; a part is missing or of another run"
            )


def _rows_of(parts: Sequence[Tensor], rows: range) -> Tensor:
    """``rows`` of the parts laid one after the other, copied."""
    pieces, start = [], 0
    for part in parts:
        low, high = max(rows.start - start, 0), min(rows.stop - start, len(part))
        if low < high:
            pieces.append(part[low:high])
        start += len(part)
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0].clone()


def _cut_optimizer(parts: Sequence[State], rows: range) -> State:
    """The classifier is the last parameter group; its entries of its own shape are cut."""
    first = parts[0]
    kept = dict(first["state"])
    for position in first["param_groups"][-1]["params"]:
        if position in kept:
            entries = [part["state"][position] for part in parts]
            kept[position] = {name: _cut_entry(entries, name, rows) for name in entries[0]}
    return {**first, "state": kept}


def _cut_entry(entries: Sequence[Mapping[str, Any]], name: str, rows: range) -> Any:
    value = entries[0][name]
    if isinstance(value, Tensor) and value.ndim:
        return _rows_of([entry[name] for entry in entries], rows)
    return value


def _cut_gradients(states: Sequence[State], rows: range) -> list[Tensor | None]:
    """Gradients lie in the order of the parameters, so the classifier's are the last."""
    gradients = list(states[0]["pending_gradients"])
    count = len(states[0]["state_optimizer"]["param_groups"][-1]["params"])
    for position in range(len(gradients) - count, len(gradients)):
        if gradients[position] is not None:
            parts = [state["pending_gradients"][position] for state in states]
            gradients[position] = _rows_of(parts, rows)
    return gradients

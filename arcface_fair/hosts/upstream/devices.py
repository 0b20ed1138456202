# SPDX-License-Identifier: MIT
"""Where arcface_torch computes: the GPU of this process where there is one, else the CPU."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as torch_dist

from arcface_fair import dist
from arcface_fair.hosts.ranks import GROUP_TIMEOUT, start_group


def on_gpu() -> bool:
    """Whether this machine has a GPU that torch can use."""
    return torch.cuda.is_available()


def device() -> torch.device:
    """This process's GPU by its local rank, or the CPU."""
    return torch.device("cuda", dist.local_rank()) if on_gpu() else torch.device("cpu")


def device_ids() -> list[int] | None:
    """What DistributedDataParallel takes: this process's GPU, or None on a CPU."""
    return [dist.local_rank()] if on_gpu() else None


def set_device(local_rank: int) -> None:
    """Chooses this process's GPU; nothing on a CPU.

    torchrun's LOCAL_RANK decides: versions of 2022 take ``local_rank`` from the command line,
    where today's torchrun does not write it.
    """
    if on_gpu():
        torch.cuda.set_device(device())


def init_process_group() -> None:
    """Starts the group: NCCL on GPUs, gloo on CPUs, patient enough for a partition stage.

    Under torchrun the environment names rank, world and address. Without it the one process
    makes a group of its own, which needs no port, so that two runs on a host do not collide.
    """
    backend = "nccl" if on_gpu() else "gloo"
    if on_gpu():
        torch.cuda.set_device(device())
    if int(os.environ.get("WORLD_SIZE", "0")) > 0 and "MASTER_ADDR" in os.environ:
        start_group(backend)
    else:
        torch_dist.init_process_group(
            backend, store=torch_dist.HashStore(), rank=0, world_size=1, timeout=GROUP_TIMEOUT
        )


def copy_stream() -> torch.cuda.Stream | None:
    """A stream for copies to the GPU; None on a CPU."""
    return torch.cuda.Stream(device()) if on_gpu() else None


def using_stream(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """``torch.cuda.stream(stream)``; nothing on a CPU."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def wait_for_stream(stream: torch.cuda.Stream | None) -> None:
    """Lets the current stream wait for ``stream``; nothing on a CPU."""
    if stream is not None:
        torch.cuda.current_stream().wait_stream(stream)

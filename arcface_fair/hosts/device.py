# SPDX-License-Identifier: MIT
"""Where a run computes: device and process group by what the machine has."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as torch_dist

from arcface_fair import dist
from arcface_fair.errors import UserError

# Ranks wait for each other through partition stages and verifications, which can take hours.
GROUP_TIMEOUT = datetime.timedelta(hours=12)


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu`` or ``cuda``: this rank's GPU where there is one.

    Raises UserError for ``cuda`` on a machine without it.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError(
            "config.device is 'cuda' but torch finds no CUDA device; "
            "use 'auto' or 'cpu', or install a torch build with CUDA"
        )
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    device = torch.device("cuda", dist.local_rank())
    torch.cuda.set_device(device)
    return device


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """A process group where torchrun (or anything that sets WORLD_SIZE) started several ranks.

    NCCL on GPUs, gloo on CPUs. A group that exists already is used and left alone.
    """
    own = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if own:
        backend = "nccl" if device.type == "cuda" else "gloo"
        torch_dist.init_process_group(backend, timeout=GROUP_TIMEOUT)
    try:
        yield
    finally:
        if own:
            torch_dist.destroy_process_group()


@contextmanager
def one_sentence_each() -> Iterator[None]:
    """Turns the failure of a collective, because another rank ended first, into a UserError."""
    try:
        yield
    except RuntimeError as error:
        if not dist.lost_contact(error):
            raise
        raise UserError(
            f"rank {dist.rank()} lost contact with another process, which ended first, expected "
            "all to go on; that process's own message says why"
        ) from error

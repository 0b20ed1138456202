# SPDX-License-Identifier: MIT
"""The ranks of a run: where each computes, how their group starts, how all end together.

However many ranks fail, and whichever is first, a user reads one sentence: on stderr once, at the
end of ``training.log``, and in torchrun's last box.
"""

from __future__ import annotations

import datetime
import functools
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.run.folder import append_to_log

# Ranks wait for each other through partition stages and verifications, which can take hours.
GROUP_TIMEOUT = datetime.timedelta(hours=12)
# What a collective says when another process went away.
_LOST_CONTACT = ("Connection closed by peer", "Connection reset by peer", "remote process exited")
_FIRST_SENTENCE = "arcface-fair: first sentence"  # key of the store

_store: torch_dist.Store | None = None


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu`` or ``cuda``: this rank's GPU where there is one."""
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", dist.local_rank())
    torch.cuda.set_device(device)
    return device


def check_device(wanted: str) -> None:
    """Raises UserError for ``cuda`` on a machine without it."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "config.device is 'cuda' but torch finds no CUDA device; "
            "use 'auto' or 'cpu', or install a torch build with CUDA"
        )


def start_group(backend: str) -> None:
    """Starts the group that torchrun's variables describe, and keeps its store."""
    global _store
    _store, rank, world_size = next(torch_dist.rendezvous("env://", timeout=GROUP_TIMEOUT))
    torch_dist.init_process_group(
        backend, store=_store, rank=rank, world_size=world_size, timeout=GROUP_TIMEOUT
    )
    _answer_sigterm_with(functools.partial(_end_unless_one_failed, os.getpid()))


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """A process group where torchrun (or anything that sets WORLD_SIZE) started several ranks.

    NCCL on GPUs, gloo on CPUs. A group that exists already is used and left alone.
    """
    own = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if own:
        start_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        if own:
            torch_dist.destroy_process_group()


def until_error(
    batches: Iterable[Any], head: Any, blank: Callable[[], Any]
) -> Generator[Any, None, None]:
    """The ``batches``; where this rank's fail among several, a ``blank`` one as the last.

    The others wait for this rank in ``head`` (our `PartialFC`), so that is where it brings its
    error: all ranks then end with the same sentence.
    """
    try:
        yield from batches
    except UserError as error:
        if dist.world_size() == 1:
            raise
        head.pending_error = error
        yield blank()


@contextmanager
def one_sentence(folder: str | Path | None) -> Iterator[None]:
    """Lets all ranks end with the sentence of the rank that failed first; see `shared_error`."""
    try:
        yield
    except (UserError, RuntimeError) as error:
        shared = shared_error(error, folder)
        if shared is None or shared is error:
            raise
        raise shared from error


def shared_error(error: BaseException, folder: str | Path | None) -> UserError | None:
    """The UserError with which this rank ends, or None where ``error`` is no user's matter.

    The first rank that fails leaves its sentence in the group's store, which needs nobody's
    answer; ranks that fail later, or lose contact because of it, raise that sentence and do not
    print it. Rank 0 appends it to ``training.log`` in the run's ``folder`` if the run had begun.
    """
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOST_CONTACT):
        error = UserError(
            f"rank {dist.rank()} lost contact with another process, which ended first, expected "
            "all to go on; that process's own message says why"
        )
    if not isinstance(error, UserError):
        return None
    if error.printed_elsewhere is not None:
        return error
    if dist.world_size() > 1:
        # This rank is about to end, with an exit code that says why.
        _answer_sigterm_with(signal.SIG_IGN)
        error = _first_error(error)
    error.printed_elsewhere = bool(error.printed_elsewhere)
    if folder is not None and dist.rank() == 0:
        append_to_log(Path(folder), str(error))
    return error


def _first_error(error: UserError) -> UserError:
    if _store is None:  # the group is somebody else's
        return error
    own = f"{dist.rank()} {error}"
    try:
        first = _store.compare_set(_FIRST_SENTENCE, "", own).decode()
    except RuntimeError:  # the store was in a process that has ended
        return error
    if first == own:
        return error
    other = UserError(first.partition(" ")[2])
    other.printed_elsewhere = True
    return other


def _answer_sigterm_with(handler: Any) -> None:
    """torchrun sends SIGTERM to all other ranks as soon as one has ended."""
    main = threading.current_thread() is threading.main_thread()
    if main and "TORCHELASTIC_RUN_ID" in os.environ:
        signal.signal(signal.SIGTERM, handler)


def _end_unless_one_failed(process: int, number: int, frame: Any) -> None:
    """Lets a rank live on that another's failure has not reached yet: it will, in a collective.

    ``process``: the one that may ask the store; its children end as ever.
    """
    try:
        failed = os.getpid() == process and _store is not None and _store.check([_FIRST_SENTENCE])
    except RuntimeError:  # the store was in a process that has ended
        failed = True
    if not failed:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

# SPDX-License-Identifier: MIT
"""Runs a function on several gloo processes and brings every rank's result or error home.

One pool of processes per world size serves the whole test session: the processes start once,
form one group, and then take tasks. A task is a module-level function and its arguments.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

TIMEOUT_S = 120.0
_GRACE_S = 3.0  # how long the other ranks may still answer once one rank has failed


class RankError(AssertionError):
    """A task failed on some rank; the text holds that rank's traceback."""


def run_ranks(
    world_size: int, fn: Callable[..., Any], *args: Any, timeout_s: float = TIMEOUT_S
) -> list[Any]:
    """``fn(*args)`` on every rank of a gloo group of ``world_size``; results in rank order.

    ``fn`` must be a module-level function; arguments and results must pickle (tensors do, but
    without a graph). An exception on any rank raises RankError here; that pool is then thrown
    away, because its ranks may be out of step. A task that outlives ``timeout_s`` fails too.
    """
    pool = _POOLS.get(world_size)
    if pool is None or not pool.alive():
        pool = _POOLS[world_size] = _Pool(world_size)
    try:
        return pool.run(fn, args, timeout_s)
    except BaseException:
        pool.stop()
        _POOLS.pop(world_size, None)
        raise


def stop_all() -> None:
    """Ends every pool; the next ``run_ranks`` starts anew."""
    while _POOLS:
        _POOLS.popitem()[1].stop()


class _Pool:
    def __init__(self, world_size: int) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "torch.distributed", "numpy"])
        self.folder = tempfile.TemporaryDirectory(prefix="ranks-")
        store = Path(self.folder.name) / "store"
        self.connections: list[Connection] = []
        self.processes = []
        for rank in range(world_size):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(rank, world_size, str(store), theirs), daemon=True
            )
            process.start()
            theirs.close()
            self.connections.append(ours)
            self.processes.append(process)

    def alive(self) -> bool:
        return all(process.is_alive() for process in self.processes)

    def run(self, fn: Callable[..., Any], args: tuple[Any, ...], timeout_s: float) -> list[Any]:
        module = sys.modules[fn.__module__]
        task = (list(sys.path), fn.__module__, module.__file__, fn.__qualname__, args)
        for connection in self.connections:
            connection.send(task)
        waiting = dict(zip(self.connections, range(len(self.connections)), strict=True))
        results: list[Any] = [None] * len(waiting)
        failures: dict[int, str] = {}
        deadline = time.monotonic() + timeout_s
        while waiting and time.monotonic() < deadline:
            for ready in wait(list(waiting), timeout=max(0.0, deadline - time.monotonic())):
                rank = waiting.pop(ready)  # type: ignore[arg-type]
                ok, value = _receive(ready)  # type: ignore[arg-type]
                if ok:
                    results[rank] = value
                else:
                    failures[rank] = value
                    deadline = min(deadline, time.monotonic() + _GRACE_S)
        if failures or waiting:
            raise RankError(_describe(fn, failures, sorted(waiting.values()), timeout_s))
        return results

    def stop(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.send(None)
        for process in self.processes:
            process.join(1.0)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        for connection in self.connections:
            connection.close()
        self.folder.cleanup()


def _receive(connection: Connection) -> tuple[bool, Any]:
    try:
        return connection.recv()
    except (EOFError, ConnectionError):
        return False, "the process ended without an answer"


def _describe(
    fn: Callable[..., Any], failures: dict[int, str], silent: list[int], timeout_s: float
) -> str:
    lines = [f"{fn.__qualname__} failed on rank(s) {sorted(failures) or 'none'}"]
    lines += [f"--- rank {rank}\n{text}" for rank, text in sorted(failures.items())]
    if silent:
        lines.append(f"no answer from rank(s) {silent} (limit {timeout_s:.0f} s)")
    return "\n".join(lines)


def _load(paths: list[str], name: str, file: str, qualname: str) -> Callable[..., Any]:
    """The task's function, found by import or, where pytest made the module up, by its file."""
    sys.path[:] = paths
    if name not in sys.modules:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is not None and found.origin == file:
            importlib.import_module(name)
        else:
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
    value: Any = sys.modules[name]
    for part in qualname.split("."):
        value = getattr(value, part)
    return value


def _serve(rank: int, world_size: int, store: str, tasks: Connection) -> None:
    import torch
    import torch.distributed as torch_dist

    torch.set_num_threads(1)
    warnings.simplefilter("error")
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank))
    torch_dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=TIMEOUT_S),
    )
    while (task := tasks.recv()) is not None:
        *where, args = task
        try:
            answer = (True, _load(*where)(*args))
            tasks.send(answer)
        except BaseException:
            tasks.send((False, traceback.format_exc()))
    torch_dist.destroy_process_group()


_POOLS: dict[int, _Pool] = {}
atexit.register(stop_all)

# SPDX-License-Identifier: MIT
"""Makes the runs that are not there yet: so many processes at once, resumable at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from studies.folder import Folder, write_json
from studies.job import specification
from studies.plan import Run
from studies.provenance import CHECKOUT

PATIENCE_S = 5.0  # between asking a process to end and ending it
Command = Callable[[Path, str], list[str]]


@dataclass(frozen=True)
class Failure:
    """A run that ended without a result, and the last line that it said."""

    key: str
    said: str


def job_command(folder: Path, key: str) -> list[str]:
    """The process of one run."""
    return [sys.executable, "-m", "studies.job", str(folder), key]


def missing(folder: Folder, runs: Iterable[Run]) -> list[Run]:
    """Runs that are not finished, each key once, in order."""
    by_key = {run.key: run for run in runs}
    return [run for key, run in by_key.items() if not folder.finished(key)]


def make(
    folder: Folder,
    runs: Iterable[Run],
    jobs: int,
    *,
    on_done: Callable[[Run], object] = lambda run: None,
    on_failed: Callable[[Run, Failure], object] = lambda run, failure: None,
    command: Command = job_command,
) -> list[Failure]:
    """Makes every missing run, ``jobs`` at a time; failures do not stop the others.

    An interrupt (or SIGTERM) ends the processes under way and passes on; what was finished stays.
    """
    waiting, failures = missing(folder, runs), []
    active: dict[str, tuple[Run, subprocess.Popen[bytes]]] = {}
    with _terminating():
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop(0)
                    active[run.key] = run, _start(folder, run, command)
                time.sleep(0.05)
                for key, (run, process) in list(active.items()):
                    if process.poll() is None:
                        continue
                    del active[key]
                    if process.returncode == 0 and folder.finished(key):
                        on_done(run)
                    else:
                        failures.append(Failure(key, _said(folder.log_file(key), process)))
                        on_failed(run, failures[-1])
        finally:
            _end([process for _, process in active.values()])
    return failures


def _start(folder: Folder, run: Run, command: Command) -> subprocess.Popen[bytes]:
    write_json(folder.job_file(run.key), specification(run))
    log = folder.log_file(run.key)
    log.parent.mkdir(parents=True, exist_ok=True)
    search = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    # Two OpenMP threads slow small networks down where runs share the cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": search}
    with log.open("wb") as file:
        # A session of its own: an interrupt at the keyboard reaches us, and we end it.
        return subprocess.Popen(
            command(folder.path, run.key), stdout=file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
        )  # fmt: skip


def _said(log: Path, process: subprocess.Popen[bytes]) -> str:
    lines = log.read_text(errors="replace").replace("\r", "\n").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    if process.returncode < 0:
        return f"ended by signal {-process.returncode}"
    return said[-1] if said else f"ended with exit code {process.returncode} and said nothing"


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    limit = time.monotonic() + PATIENCE_S
    for process in processes:
        try:
            process.wait(max(limit - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM becomes an interrupt, so that processes under way are ended too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)

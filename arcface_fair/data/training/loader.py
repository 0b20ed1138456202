# SPDX-License-Identifier: MIT
"""Batches from worker processes; whatever goes wrong in one reaches the user, never a hang.

B images per batch.

Which images make up which batch: the same for every number of processes.

One permutation per (seed, epoch); global batch b is its b-th run of B * R positions, and rank r
takes the r-th contiguous part, so that gathered rows lie as one process would have them.
B images per rank, R ranks.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.training.dataset import TrainingImages
from arcface_fair.errors import UserError


class EpochBatches:
    """Batch sampler: yields one rank's batches, each a list of B pairs (epoch, position).

    ``len`` is the number of steps of a whole epoch; images that do not fill a global batch wait
    for another epoch's permutation. Holds no random state: an epoch can be entered anywhere.
    Raises UserError if there are fewer images than one global batch takes.
    """

    def __init__(
        self, num_images: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        assert 0 <= rank < world_size
        if batch_size < 1 or num_images < batch_size * world_size:
            raise UserError(
                f"{num_images} images do not fill a batch of {batch_size} on each of "
                f"{world_size} processes ({batch_size * world_size} images); set batch_size to "
                f"at least 1 and at most {num_images // world_size}"
            )
        self.num_images, self.batch_size, self.seed = num_images, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.first_step = 0, 0

    def __len__(self) -> int:
        return self.num_images // (self.batch_size * self.world_size)

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """What the next iteration yields: ``epoch``, from its step ``first_step`` (0-based)."""
        assert epoch >= 0
        assert 0 <= first_step <= len(self)
        self.epoch, self.first_step = epoch, first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        positions = np.random.default_rng((self.seed, epoch)).permutation(self.num_images)
        for step in range(self.first_step, len(self)):
            start = (step * self.world_size + self.rank) * self.batch_size
            batch = positions[start : start + self.batch_size].tolist()
            yield [(epoch, position) for position in batch]


class Batch(NamedTuple):
    """One rank's batch.

    images: uint8 [B, 3, 112, 112] RGB.  labels, positions: int64 [B].
    skipped: how many rows hold another image of the batch in place of a bad one.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    skipped: int


class BatchPlan(Protocol):
    """Which images make up which batch: lists of (epoch, position), such as `EpochBatches`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[tuple[int, int]]]: ...


@dataclass(frozen=True)
class _Failure:
    """A user's error on its way from a worker, as data: an exception would bring a traceback."""

    message: str


class _Batches(Dataset):
    """A list of (epoch, position) to a `Batch`, or to the failure that the user must see."""

    def __init__(self, training_images: TrainingImages) -> None:
        self.training_images = training_images

    def __getitem__(self, batch: list[tuple[int, int]]) -> Batch | _Failure:
        try:
            return self._fetch(batch)
        except UserError as error:
            return _Failure(str(error))

    def _fetch(self, batch: list[tuple[int, int]]) -> Batch:
        rows: list[tuple[Tensor, int, int] | None] = []
        for index in batch:
            try:
                rows.append(self.training_images[index])
            except BadImageError as error:
                if not self.training_images.skip_bad_images:
                    raise
                rows.append(None)
                last_error = error
        good = [row for row in rows if row is not None]
        if not good:
            raise UserError(
                f"none of the {len(batch)} images of a batch can be used, the last because "
                f"{last_error}"
            )
        images, labels, positions = zip(*_filled(rows), strict=True)
        return Batch(
            torch.stack(images),
            torch.tensor(labels),
            torch.tensor(positions),
            len(rows) - len(good),
        )


def _filled(rows: list[tuple[Tensor, int, int] | None]) -> list[tuple[Tensor, int, int]]:
    """``rows`` with every None replaced by the next row that is there, round the end."""
    filled = []
    for position in range(len(rows)):
        row = next(row for row in rows[position:] + rows[:position] if row is not None)
        filled.append(row)
    return filled


class Loader:
    """Iterable of `Batch` on ``device``, one pass per epoch; made by `make_loader`.

    Set the epoch on ``batches`` before each pass. ``len`` is the steps of a whole epoch.
    Iterating raises UserError for what the images raise and for a worker that died.
    """

    def __init__(
        self,
        training_images: TrainingImages,
        batches: BatchPlan,
        num_workers: int,
        device: torch.device,
    ) -> None:
        self.batches, self.num_workers, self.device = batches, num_workers, device
        self._images = _Batches(training_images)
        self._loader: DataLoader | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        source: Iterator[Batch | _Failure] | None = self._start()
        while True:
            assert source is not None
            received = self._receive(source)
            if received is None:
                return
            if isinstance(received, _Failure):
                # Both names go first: a traceback would keep the workers until much later.
                source = None
                self.close()
                raise UserError(received.message)
            images, labels, positions = (
                part.to(self.device, non_blocking=True)
                for part in (received.images, received.labels, received.positions)
            )
            yield Batch(images, labels, positions, received.skipped)

    def close(self) -> None:
        """Ends the workers now; iterating again starts new ones.

        Call it when training ends. Left to the garbage collector, PyTorch's workers may be waited
        for in vain, five seconds each: their queues can be gone before they learn of the end.
        """
        self._loader = None

    def _start(self) -> Iterator[Batch | _Failure]:
        with _quiet_workers():
            if self._loader is None:
                self._loader = DataLoader(
                    self._images,
                    batch_size=None,
                    sampler=self.batches,  # type: ignore[arg-type]
                    num_workers=self.num_workers,
                    worker_init_fn=_start_worker,
                    persistent_workers=self.num_workers > 0,
                    pin_memory=self.device.type == "cuda",
                    # Without one of its own it would draw from the global generator every epoch.
                    generator=torch.Generator(),
                )
            return iter(self._loader)

    def _receive(self, source: Iterator[Batch | _Failure]) -> Batch | _Failure | None:
        """The next batch, what went wrong instead, or None at the end."""
        try:
            return next(source, None)
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):
                raise
        return _Failure(
            f"one of the {self.num_workers} data workers was ended by the system, not by an error "
            "of its own; memory or /dev/shm is most likely full: lower num_workers or batch_size "
            "(num_workers = 0 loads in the main process), or give the container more memory"
        )


def make_loader(
    training_images: TrainingImages,
    batches: BatchPlan,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
) -> Loader:
    """Batches of ``training_images`` as ``batches`` lists them, as an iterable of `Batch`.

    num_workers: processes that read and decode; 0 does it in this one. Their number does not
    change what is yielded. Raises UserError if it is negative.
    """
    if num_workers < 0:
        raise UserError(f"num_workers is {num_workers}; set it to 0 or more processes")
    return Loader(training_images, batches, num_workers, torch.device(device))


def _start_worker(_: int) -> None:
    # One process per core is the plan; OpenCV would start a thread per core in each.
    cv2.setNumThreads(0)


@contextmanager
def _quiet_workers() -> Iterator[None]:
    """Starts workers without two habits that are wrong for us.

    PyTorch's child-death handler raises wherever the main thread happens to be, in the middle of
    a backward pass too; without it the death is found where the next batch is waited for, within
    seconds. And its warnings (more workers than cores, fork beside threads) become errors in
    strict programs, though the number is the user's choice and workers run no threads.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGCHLD) if main and hasattr(signal, "SIGCHLD") else None
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*worker processes in total", category=UserWarning
        )
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        try:
            yield
        finally:
            if handler is not None:
                signal.signal(signal.SIGCHLD, handler)

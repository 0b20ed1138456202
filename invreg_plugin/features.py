# SPDX-License-Identifier: MIT
"""Keeps the features of every image in one float16 file, resumable and never whole in memory.

Layout: a header of 4096 bytes (a magic line, then JSON: images, dim, fingerprint), the rows as
float16 [N, D], and one byte per image that says whether its row is there. The file is read and
written at the rows' own places and not through a memory map: a full disk ends a write with an
error but a map with a crash, and a map of random rows keeps about 250 KiB resident for each row of
1 KiB read (measured: 926 MiB of a 1 GiB file), where a read keeps the rows asked for.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError

log = logging.getLogger("arcface_fair.invreg.features")  # below the run's own log

_MAGIC = b"arcface-fair features 1\n"
_HEADER = 4096
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def fingerprint(tensors: Iterable[Tensor], *identifiers: object) -> str:
    """A hex digest of a model and of what identifies the record; any change changes it."""
    digest = hashlib.sha256()
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
        digest.update(flat.flatten().view(torch.uint8).numpy().tobytes())
    digest.update(repr(identifiers).encode())
    return digest.hexdigest()


class FeatureStore:
    """One file of features: rows by image position, float16 on disk, float32 when read.

    Made by ``create`` or ``open``; a context manager, closed at its end.
    """

    def __init__(self, path: Path, num_images: int, dim: int, writable: bool):
        self.path = path
        self.shape = (num_images, dim)
        self._row_bytes = 2 * dim
        self._flags_at = _HEADER + num_images * self._row_bytes
        # Held open for the life of the store, closed by close().
        self._file = open(path, "r+b" if writable else "rb", buffering=0)  # noqa: SIM115

    @classmethod
    def create(cls, path: str | Path, num_images: int, dim: int, fingerprint: str) -> FeatureStore:
        """Opens the store for writing, made if it is not there; call it on all ranks.

        A file of the same model and record is resumed (see ``missing``). One of another model or
        record, or a damaged one, is not used: a warning says so and it is replaced. UserError if
        the disk is full or the folder cannot be written; no partial file stays.
        """
        path = Path(path)
        with dist.failing_together():
            if dist.rank() == 0:
                _prepare(path, num_images, dim, fingerprint)
        dist.raise_together(None if path.exists() else _unseen(path))
        return cls(path, num_images, dim, writable=True)

    @classmethod
    def open(cls, path: str | Path, fingerprint: str) -> FeatureStore:
        """Opens a store for reading; UserError if absent, damaged or of another model or record."""
        path = Path(path)
        header = _read_header(path)
        if header is None:
            raise UserError(
                f"{path} is not a whole feature file, expected one written by this project; delete "
                "it and extract the features again"
            )
        if header["fingerprint"] != fingerprint:
            raise UserError(
                f"{path} holds features of another model or record ({header['fingerprint'][:12]}), "
                f"expected {fingerprint[:12]}; delete it and extract the features again"
            )
        return cls(path, header["images"], header["dim"], writable=False)

    def write(self, start: int, rows: Tensor | np.ndarray) -> None:
        """Stores rows [n, D] (any float dtype) of the images ``start``..``start + n - 1``.

        UserError for rows that are not finite in float16, and for a full disk, in which case the
        file is removed.
        """
        array = rows.detach().float().cpu().numpy() if isinstance(rows, Tensor) else rows
        end = start + len(array)
        assert array.shape == (len(array), self.shape[1]), "rows are [n, D]"
        assert 0 <= start <= end <= self.shape[0], "rows lie inside the record"
        with np.errstate(over="ignore"):
            half = np.ascontiguousarray(array, dtype=np.float16)
        finite = np.isfinite(half).all(axis=1)
        if not finite.all():
            raise UserError(
                f"the feature of image {start + int((~finite).argmax())} is not a finite float16 "
                "number, expected finite features; the network has diverged, lower the learning "
                "rate or go back to an earlier checkpoint"
            )
        try:
            self._put(_HEADER + start * self._row_bytes, half.tobytes())
            self._put(self._flags_at + start, b"\1" * len(array))
        except OSError as problem:
            self.close()
            raise _failed(self.path, problem, self._flags_at + self.shape[0]) from problem

    def _put(self, offset: int, data: bytes) -> None:
        """Writes all of ``data``: a raw file may take a part and leave the rest to the caller."""
        self._file.seek(offset)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _get(self, offset: int, target: memoryview) -> None:
        """Fills ``target`` from the file."""
        self._file.seek(offset)
        while target:
            count = self._file.readinto(target)
            if not count:
                raise UserError(
                    f"{self.path} ends before byte {offset + len(target)}, expected a whole "
                    "feature file; it was changed while in use, delete it and extract again"
                )
            target = target[count:]
            offset += count

    def missing(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Positions in ``start``..``stop - 1`` without a row yet, int64, rising."""
        stop = self.shape[0] if stop is None else stop
        flags = np.zeros(stop - start, np.uint8)
        self._get(self._flags_at + start, flags.data)
        return start + np.flatnonzero(flags == 0)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Rows at ``positions`` in the order asked for, float32 [n, D]."""
        positions = np.asarray(positions, dtype=np.int64)
        assert not len(positions) or (positions.min() >= 0 and positions.max() < self.shape[0]), (
            "positions lie inside the record"
        )
        order = np.argsort(positions, kind="stable")  # the disk likes rising addresses
        rising = positions[order]
        half = np.empty((len(positions), self.shape[1]), np.dtype("<f2"))
        target = half.data.cast("B")
        # One read for each run of neighbours.
        starts = np.flatnonzero(np.diff(rising, prepend=-2) != 1)
        for start, stop in zip(starts, [*starts[1:], len(rising)], strict=True):
            place = _HEADER + int(rising[start]) * self._row_bytes
            self._get(place, target[start * self._row_bytes : stop * self._row_bytes])
        rows = np.empty(half.shape, np.float32)
        rows[order] = half
        return rows

    def close(self) -> None:
        """Gives the file back; calling it twice is harmless."""
        self._file.close()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepare(path: Path, num_images: int, dim: int, fingerprint: str) -> None:
    """Leaves a file at ``path`` that belongs to this model and record; rank 0 only."""
    wanted = {"images": num_images, "dim": dim, "fingerprint": fingerprint}
    if path.exists():
        if _read_header(path) == wanted:
            return
        log.warning(
            "%s holds features of another model or record, or is damaged: not used; the features "
            "are extracted again",
            path,
        )
    size = _HEADER + num_images * (2 * dim + 1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        _allocate(path, size, _MAGIC + json.dumps(wanted).encode())
    except OSError as problem:
        raise _failed(path, problem, size) from problem


def _allocate(path: Path, size: int, header: bytes) -> None:
    """Takes the whole space now where the system can, so that a full disk shows at the start."""
    assert len(header) <= _HEADER, "the header has a fixed place"
    with open(path, "xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        file.write(header)


def _read_header(path: Path) -> dict | None:
    """The header, None where the file is no whole feature file."""
    try:
        with open(path, "rb") as file:
            block = file.read(_HEADER)
        header = json.loads(block[len(_MAGIC) :].rstrip(b"\0"))
        whole = path.stat().st_size == _HEADER + header["images"] * (2 * header["dim"] + 1)
    except FileNotFoundError:
        raise UserError(
            f"there is no feature file {path}, expected one; extract the features first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return header if whole and block.startswith(_MAGIC) else None


def _failed(path: Path, problem: OSError, size: int) -> UserError:
    """Removes what was written and says what stopped it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    if problem.errno in _DISK_FULL:
        return UserError(
            f"the disk is full: {path} needs {size / 2**20:.0f} MiB, expected so much free space; "
            "free some or choose another folder; the file was removed"
        )
    return UserError(
        f"the feature file {path} cannot be written ({problem.strerror}), expected a folder with "
        "write access; choose another folder"
    )


def _unseen(path: Path) -> UserError:
    return UserError(
        f"rank {dist.rank()} does not see the feature file {path} that rank 0 made, expected a "
        "folder that all machines share; choose one"
    )

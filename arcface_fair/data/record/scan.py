# SPDX-License-Identifier: MIT
"""Reads a record file from end to end without its index, and goes on behind damage.

Between the records of a sound file there is nothing, and no record holds the magic number at a
multiple of four bytes (see `recordio`). So where a record does not end at the magic number, the
next magic number that can begin a record is where reading goes on: what lies between is reported,
not guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcface_fair.data.record.recordio import LENGTH_BITS, MAGIC, MAGIC_BYTES, PART
from arcface_fair.errors import UserError

_CHUNK = 1 << 20  # large reads, small enough to stay in the processor's cache
_LENGTH = (1 << LENGTH_BITS) - 1
Progress = Callable[[int], object]


class Stretch(NamedTuple):
    """Bytes ``offset``..``end`` of the file: a whole record, or what is none.

    record: header and payload with the parts joined, empty where damaged.
    damage: empty, or what was found in place of a record.
    """

    offset: int
    end: int
    record: bytes
    damage: str


class RecordFile:
    """A .rec file without an index.  size: in bytes.

    Raises UserError if it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._fd = -1
        try:
            self._fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            self.size = os.fstat(self._fd).st_size
            os.pread(self._fd, 1, 0)
        except OSError as error:
            raise UserError(
                f"record file {self.path} cannot be read ({error.strerror}); "
                "correct the path or copy the file there"
            ) from error
        self._base, self._window = 0, b""

    def scan(self, progress: Progress | None = None) -> Iterator[Stretch]:
        """Every record and every damaged stretch, in the file's order.

        progress: called with the number of bytes done, now and then.
        """
        at = reported = 0
        while at < self.size:
            run = list(self._sound_run(at)) or [self._next(at)]
            at = run[-1].end
            yield from run
            if progress is not None and at - reported >= _CHUNK:
                progress(at - reported)
                reported = at
        if progress is not None:
            progress(at - reported)

    def _sound_run(self, at: int) -> Iterator[Stretch]:
        """The whole records from byte ``at`` on that end within the bytes read last.

        All are found at once: a word that is the magic number begins a record or a part, and
        where one ends exactly at the next, nothing is amiss.
        """
        start = at - self._base
        count = (len(self._window) - start) // 4
        if start < 0 or count < 2:
            return
        words = np.frombuffer(self._window, "<u4", count, start)
        heads = np.flatnonzero(words == MAGIC)
        if len(heads) < 2 or heads[0]:
            return
        lengths = words[heads[:-1] + 1].astype(np.int64)
        sound = (lengths <= _LENGTH) & (heads[:-1] + 2 + (lengths + 3) // 4 == heads[1:])
        end = len(sound) if sound.all() else int(sound.argmin())
        window, base = self._window, self._base
        firsts = (start + 4 * heads).tolist()
        for first, following, length in zip(firsts[:end], firsts[1:], lengths.tolist()):  # noqa: B905
            body = window[first + PART.size : first + PART.size + length]
            yield Stretch(base + first, base + following, body, "")

    def read(self, offset: int) -> bytes:
        """The record that starts at byte ``offset``. Raises UserError if it is damaged."""
        stretch = self._next(offset, 1 << 16)
        if stretch.damage:
            raise UserError(
                f"{self.path} at byte {offset} {stretch.damage}; it has changed since it was "
                "looked through, start again"
            )
        return stretch.record

    def _bytes(self, offset: int, size: int, chunk: int = 0) -> bytes:
        """Up to ``size`` bytes from ``offset``: fewer only at the end of the file."""
        start = offset - self._base
        if not 0 <= start <= start + size <= len(self._window):
            try:
                self._window = os.pread(self._fd, max(size, chunk or _CHUNK), offset)
            except OSError as error:
                raise UserError(
                    f"record file {self.path} cannot be read at byte {offset} "
                    f"({error.strerror}); check the disk and copy the file again"
                ) from error
            self._base, start = offset, 0
        return self._window[start : start + size]

    def _next(self, offset: int, chunk: int = 0) -> Stretch:
        parts: list[bytes] = []
        at = offset
        while True:
            flag, length, damage = self._part(at, bool(parts), chunk)
            body = b"" if damage else self._body(at + PART.size, length, chunk)
            if body is None:
                damage = "holds the start of another record"
            if damage or body is None:
                return self._damaged(offset, damage)
            parts.append(body)
            at = min(at + PART.size + (length + 3) // 4 * 4, self.size)
            if flag in (0, 3):
                return Stretch(offset, at, MAGIC_BYTES.join(parts), "")

    def _body(self, start: int, length: int, chunk: int) -> bytes | None:
        """The part's bytes, or None if another record starts inside: then its length is wrong."""
        end = start + (length + 3) // 4 * 4
        # A wrong length can be half a gigabyte: look through it before holding it.
        if end - start > _CHUNK and self._find_magic(start, end, start % 4) < end:
            return None
        body = self._bytes(start, length, chunk)
        at = body.find(MAGIC_BYTES)
        while at >= 0:
            if at % 4 == 0:
                return None
            at = body.find(MAGIC_BYTES, at + 1)
        return body

    def _part(self, at: int, inside: bool, chunk: int) -> tuple[int, int, str]:
        """Flag and length of the part at byte ``at``, or what is wrong with it."""
        head = self._bytes(at, PART.size, chunk)
        if len(head) < PART.size:
            return 0, 0, "is cut at the end of the file"
        magic, lrec = PART.unpack(head)
        flag, length = lrec >> LENGTH_BITS, lrec & _LENGTH
        if magic != MAGIC:
            return 0, 0, "does not start with the magic number"
        if flag not in ((2, 3) if inside else (0, 1)):
            return 0, 0, f"has a part of kind {flag} where none can be"
        if at + PART.size + length > self.size:
            return 0, 0, "is cut at the end of the file"
        return flag, length, ""

    def _starts_or_ends(self, at: int) -> bool:
        return at >= self.size or self._bytes(at, 4, 1 << 16) == MAGIC_BYTES

    def _find_magic(self, start: int, end: int, remainder: int | None = None) -> int:
        """The first magic number from ``start``, at a byte of this remainder modulo 4 (or any)."""
        for base in range(start, end, _CHUNK):
            block = self._bytes(base, min(_CHUNK + 3, end - base))
            at = block.find(MAGIC_BYTES)
            while at >= 0:
                if remainder is None or (base + at) % 4 == remainder:
                    return base + at
                at = block.find(MAGIC_BYTES, at + 1)
        return end

    def _damaged(self, offset: int, damage: str) -> Stretch:
        """The stretch from ``offset`` to where a record can begin again, or to the end."""
        at = offset
        while True:
            at = self._find_magic(at + 1, self.size)
            if at >= self.size or self._begins(at):
                return Stretch(offset, min(at, self.size), b"", damage)

    def _begins(self, at: int) -> bool:
        _, length, damage = self._part(at, False, 0)
        # By chance four bytes of an image are the magic number, but never at a multiple of four;
        # elsewhere another record or the end must follow.
        return not damage and (
            at % 4 == 0 or self._starts_or_ends(at + PART.size + (length + 3) // 4 * 4)
        )

    def close(self) -> None:
        """Closes the file; the object cannot be used afterwards."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def scan_records(path: str | Path, progress: Progress | None = None) -> Iterator[Stretch]:
    """`RecordFile.scan` of the file ``path``."""
    with RecordFile(path) as file:
        yield from file.scan(progress)

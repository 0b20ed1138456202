# SPDX-License-Identifier: MIT
"""Reads RecordIO files (.rec with .idx) by key, as MXNet's indexed reader does, without MXNet.

A record on disk is one or more parts; a part is two little-endian uint32, the magic number and
``flag << 29 | length``, then ``length`` bytes and padding to a multiple of four. Flag 0 is a
whole record; 1, 2, 3 are the first, a middle and the last part of a record whose bytes hold the
magic number at a multiple of four: it is left out there and put back between parts on reading.
The index has a line ``key TAB byte offset`` per record. Format: dmlc-core, recordio.h.
"""

from __future__ import annotations

import os
import struct
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arcface_fair.data.record.index import RecordIndex
from arcface_fair.errors import UserError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
PART = struct.Struct("<II")
LENGTH_BITS = 29
_HEADER = struct.Struct("<IfQQ")
# An aligned face is 5 to 15 kB: one system call fetches nearly every record.
_CHUNK = 1 << 16


class RecordHeader(NamedTuple):
    """What stands before the payload of an image record.

    flag: 0, or the length of the label array.  label: float, or float32 [flag].
    id, id2: unsigned 64-bit numbers; InsightFace's ``id`` is the record's key.
    """

    flag: int
    label: float | np.ndarray
    id: int
    id2: int

    @property
    def first_label(self) -> float:
        """The label, or the first one of a label array."""
        return float(self.label if self.flag == 0 else self.label[0])  # type: ignore[index]


def unpack(record: bytes, what: str = "the record") -> tuple[RecordHeader, bytes]:
    """Splits a record into its header and payload.

    Raises UserError naming ``what`` if the record is shorter than its header says.
    """
    if len(record) < _HEADER.size:
        raise UserError(
            f"{what} is {len(record)} bytes long but an image header takes {_HEADER.size}; "
            "it is damaged or no image record, write the file again"
        )
    flag, label, id_, id2 = _HEADER.unpack_from(record)
    if flag == 0:
        return RecordHeader(0, label, id_, id2), record[_HEADER.size :]
    end = _HEADER.size + 4 * flag
    if len(record) < end:
        raise UserError(
            f"{what} announces {flag} labels but has {len(record) - _HEADER.size} bytes after "
            "its header; it is damaged or no image record, write the file again"
        )
    labels = np.frombuffer(record, "<f4", flag, _HEADER.size)
    return RecordHeader(flag, labels, id_, id2), record[end:]


def pack(header: RecordHeader, payload: bytes) -> bytes:
    """The record of ``header`` and ``payload``; the inverse of `unpack`.

    As in MXNet, the flag follows from the label: 0 for a number, else the array's length.
    """
    if isinstance(header.label, Real):
        return _HEADER.pack(0, float(header.label), header.id, header.id2) + payload
    labels = np.asarray(header.label, "<f4").ravel()
    return _HEADER.pack(labels.size, 0.0, header.id, header.id2) + labels.tobytes() + payload


class IndexedRecordReader:
    """Random access to the records of ``rec_path`` by the keys of ``idx_path``.

    keys: int64 [records], in the order of the index.
    Holds no position: threads, forked and spawned workers may share one reader.
    Opening reads the records that lie first and last, so a truncated file or an index of another
    file is noticed before training starts. Raises UserError for either, for files that cannot be
    read, and in `read` for a record that is damaged.
    """

    def __init__(self, rec_path: str | Path, idx_path: str | Path) -> None:
        self.rec_path, self.idx_path = Path(rec_path), Path(idx_path)
        self._fd = -1
        self._open()
        self._index = RecordIndex(self.idx_path, self.rec_path, self._size)
        self.keys = self._index.keys
        for key in self._index.outermost_keys():
            self.read(key)

    def _open(self) -> None:
        try:
            self._fd = os.open(self.rec_path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            raise UserError(
                f"record file {self.rec_path} cannot be read ({error.strerror}); "
                "correct the path or copy the file there"
            ) from error

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: int) -> bool:
        return key in self._index

    def describe(self, key: int) -> str:
        """How messages name the record: its key and its file."""
        return f"record {key} of {self.rec_path}"

    def _pread(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise UserError(
                f"record file {self.rec_path} cannot be read at byte {offset} ({error.strerror}); "
                "check the disk and copy the file again"
            ) from error

    def read(self, key: int) -> bytes:
        """The whole record, header and payload. Raises UserError if it is missing or damaged."""
        offset, end = self._index.locate(key)
        head = self._pread(min(end - offset, _CHUNK), offset)
        whole = _whole_record(head)
        return self._read_parts(key, offset) if whole is None else whole

    def header(self, key: int) -> RecordHeader:
        """The record's header without its payload: one small read for nearly every record."""
        offset, end = self._index.locate(key)
        head = self._pread(min(end - offset, 64), offset)
        if len(head) >= PART.size + _HEADER.size:
            magic, lrec, flag, label, id_, id2 = struct.unpack_from("<IIIfQQ", head)
            if magic == MAGIC and _HEADER.size <= lrec < 1 << LENGTH_BITS and flag == 0:
                return RecordHeader(0, label, id_, id2)
        return unpack(self.read(key), self.describe(key))[0]

    def _read_parts(self, key: int, offset: int) -> bytes:
        parts: list[bytes] = []
        while True:
            flag, length = self._part_at(key, offset)
            if flag not in ((2, 3) if parts else (0, 1)):
                raise self._damaged(key, f"has a part of kind {flag} at byte {offset}")
            parts.append(self._pread(length, offset + PART.size))
            if flag in (0, 3):
                return MAGIC_BYTES.join(parts)
            offset += PART.size + (length + 3) // 4 * 4

    def _part_at(self, key: int, offset: int) -> tuple[int, int]:
        head = self._pread(PART.size, offset)
        if len(head) < PART.size:
            raise self._damaged(key, f"stops at byte {self._size}, the end of the file")
        magic, lrec = PART.unpack(head)
        flag, length = lrec >> LENGTH_BITS, lrec & ((1 << LENGTH_BITS) - 1)
        if magic != MAGIC:
            raise self._damaged(key, f"does not start at byte {offset}, where its index says")
        if offset + PART.size + length > self._size:
            raise self._damaged(
                key, f"should end at byte {offset + PART.size + length}, the file at {self._size}"
            )
        return flag, length

    def _damaged(self, key: int, finding: str) -> UserError:
        return UserError(
            f"{self.describe(key)} {finding}; the file is cut or damaged or {self.idx_path.name} "
            "belongs to another one, copy both again"
        )

    def close(self) -> None:
        """Closes the file; the reader cannot be used afterwards."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> IndexedRecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fd": -1}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _whole_record(head: bytes) -> bytes | None:
    """The record at the start of ``head`` if it is in one part and all there."""
    if len(head) < PART.size:
        return None
    magic, lrec = PART.unpack_from(head)
    if magic != MAGIC or lrec >= 1 << LENGTH_BITS or PART.size + lrec > len(head):
        return None
    return head[PART.size : PART.size + lrec]

# SPDX-License-Identifier: MIT
"""Writes RecordIO files, byte for byte as MXNet does, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from arcface_fair.data.record.recordio import (
    LENGTH_BITS,
    MAGIC,
    MAGIC_BYTES,
    PART,
    RecordHeader,
    pack,
)
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files


def frame(record: bytes) -> bytes:
    """The bytes of ``record`` in the file: split where it holds the magic number, padded."""
    if len(record) >= 1 << LENGTH_BITS:
        raise UserError(
            f"a record of {len(record)} bytes does not fit: RecordIO holds less than "
            f"{1 << LENGTH_BITS}; write smaller images"
        )
    parts: list[bytes] = []
    start = 0
    at = record.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4:
            at = record.find(MAGIC_BYTES, at + 1)
            continue
        parts += [_part_head(2 if start else 1, at - start), record[start:at]]
        start = at + 4
        at = record.find(MAGIC_BYTES, start)
    parts += [_part_head(3 if start else 0, len(record) - start), record[start:]]
    parts.append(bytes(-len(record) % 4))
    return b"".join(parts)


def _part_head(flag: int, length: int) -> bytes:
    return PART.pack(MAGIC, flag << LENGTH_BITS | length)


class IndexedRecordWriter:
    """Writes records and their index; both files appear together when the block ends well.

    >>> with IndexedRecordWriter("faces.rec", "faces.idx") as writer:  # doctest: +SKIP
    ...     writer.write(0, pack(RecordHeader(0, 3.0, 0, 0), jpeg))

    Raises UserError where the files cannot be written; nothing is left behind then.
    """

    def __init__(self, rec_path: str | Path, idx_path: str | Path) -> None:
        self.rec_path, self.idx_path = Path(rec_path), Path(idx_path)
        self._stack = ExitStack()
        self._offset = 0
        self._first_size = 0

    def __enter__(self) -> IndexedRecordWriter:
        files: tuple[BinaryIO, ...] = self._stack.enter_context(
            atomic_files(self.rec_path, self.idx_path)
        )
        self._rec, self._idx = files
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.__exit__(*raised)  # type: ignore[arg-type]

    def write(self, key: int, record: bytes) -> None:
        """Appends ``record`` under ``key`` (a whole number from 0, used once)."""
        if key < 0:
            raise UserError(f"key {key} cannot be written: keys are whole numbers from 0")
        framed = frame(record)
        self._rec.write(framed)
        self._idx.write(b"%d\t%d\n" % (key, self._offset))
        self._first_size = self._first_size or len(framed)
        self._offset += len(framed)

    def rewrite_first(self, record: bytes) -> None:
        """Puts ``record`` in place of the first one, which must take as many bytes."""
        framed = frame(record)
        assert len(framed) == self._first_size, "the first record must keep its size"
        self._rec.seek(0)
        self._rec.write(framed)
        self._rec.seek(0, 2)


def write_insightface_record(
    folder: str | Path,
    images: Iterable[tuple[bytes, int]],
    num_classes: int,
    size: int = 112,
) -> int:
    """Writes train.rec, train.idx and property in InsightFace's layout; the number of images.

    images: (encoded JPEG or PNG, identity 0..num_classes-1), identities in order, each at least
    once.  size: height and width in pixels, for the property file.
    Record 0 holds the labels [N+1, N+1+num_classes], records 1..N the images, and record N+1+i
    the keys [first, past the last] of identity i.
    Raises UserError for identities out of order or range or without images; then no file is
    written.
    """
    folder = Path(folder)
    firsts: list[int] = []
    key = 0
    with (
        IndexedRecordWriter(folder / "train.rec", folder / "train.idx") as writer,
        atomic_files(folder / "property") as (prop,),
    ):
        writer.write(0, _range_record(0, 0, 0))
        for key, (image, identity) in enumerate(images, start=1):
            _check_order(key, identity, len(firsts), num_classes)
            if identity == len(firsts):
                firsts.append(key)
            writer.write(key, pack(RecordHeader(0, float(identity), key, 0), image))
        if len(firsts) != num_classes:
            raise UserError(
                f"{len(firsts)} identities have images but num_classes is {num_classes}; "
                "give every class at least one image"
            )
        for number, (first, end) in enumerate(
            zip(firsts, [*firsts[1:], key + 1], strict=True), start=key + 1
        ):
            writer.write(number, _range_record(number, first, end))
        writer.rewrite_first(_range_record(0, key + 1, key + 1 + num_classes))
        prop.write(b"%d,%d,%d\n" % (num_classes, size, size))
    return key


def _range_record(key: int, first: int, end: int) -> bytes:
    return pack(RecordHeader(2, np.array([first, end], "<f4"), key, 0), b"")


def _check_order(key: int, identity: int, seen: int, num_classes: int) -> None:
    if not 0 <= identity < num_classes:
        raise UserError(
            f"image {key} has identity {identity}, outside 0..{num_classes - 1}; "
            "number the identities from 0 and set num_classes to their count"
        )
    if identity not in (seen - 1, seen):
        raise UserError(
            f"image {key} has identity {identity} after {seen - 1}; "
            "give the images in the order of their identities, each identity at least once"
        )

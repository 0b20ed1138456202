# SPDX-License-Identifier: MIT
"""The index of a record file: where each key's record starts, checked when it is opened."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from arcface_fair.errors import UserError


def read_index(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Keys and byte offsets of an .idx file, both int64 [records], in the file's order.

    Raises UserError if the file is missing, empty, not an index, or names a key twice.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"index {path} cannot be read ({error.strerror}); it belongs beside the .rec file, "
            "copy it there or correct the path"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")  # type: ignore[call-overload]
    except (ValueError, DeprecationWarning):
        numbers = np.empty(0, np.int64)
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    if numbers.size == 0 or numbers.size != 2 * lines or numbers.min() < 0:
        raise UserError(
            f"index {path} is no index: every line must be a record's key, a tab and its byte "
            "offset, both whole numbers from 0; copy it again or rebuild it from the record"
        )
    keys, offsets = numbers.reshape(-1, 2).T.copy()
    _refuse_double_keys(path, keys)
    return keys, offsets


def _refuse_double_keys(path: Path, keys: np.ndarray) -> None:
    if (np.diff(keys) > 0).all():
        return
    ordered = np.sort(keys)
    double = ordered[1:][ordered[1:] == ordered[:-1]]
    if double.size:
        raise UserError(
            f"index {path} names key {double[0]} twice; keys must be unique, "
            "copy it again or rebuild it from the record"
        )


class RecordIndex:
    """Keys to byte ranges.  keys: int64 [records], in the order of the file.

    size: of the record file in bytes; no record may start at or beyond it.
    Raises UserError for what `read_index` refuses and for an index of another, longer file.
    """

    def __init__(self, idx_path: Path, rec_path: Path, size: int) -> None:
        self.path, self.rec_path = idx_path, rec_path
        self.keys, self._offsets = read_index(idx_path)
        self._consecutive = bool((np.diff(self.keys) == 1).all())
        self._order = np.empty(0, np.int64) if self._consecutive else np.argsort(self.keys)
        if (beyond := self._offsets.max()) >= size:
            raise UserError(
                f"index {idx_path} points to byte {beyond} but {rec_path} has only {size} bytes; "
                "the record file is cut or belongs to another index, copy both again"
            )
        starts = np.unique(self._offsets)
        self._ends = np.append(starts, size)[np.searchsorted(starts, self._offsets, "right")]

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: int) -> bool:
        return self._row(key) is not None

    def _row(self, key: int) -> int | None:
        if self._consecutive:
            row = key - int(self.keys[0])
            return row if 0 <= row < len(self.keys) else None
        position = int(np.searchsorted(self.keys, key, sorter=self._order))
        row = int(self._order[position]) if position < len(self.keys) else 0
        return row if self.keys[row] == key else None

    def locate(self, key: int) -> tuple[int, int]:
        """Where the record starts, and where the next one known does (or the file ends)."""
        row = self._row(key)
        if row is None:
            raise UserError(
                f"index {self.path} has no key {key}; it and {self.rec_path} do not belong "
                "together or one is cut, copy both again"
            )
        return int(self._offsets[row]), int(self._ends[row])

    def outermost_keys(self) -> tuple[int, int]:
        """The keys of the records that lie first and last in the file."""
        first, last = self._offsets.argmin(), self._offsets.argmax()
        return int(self.keys[first]), int(self.keys[last])

# SPDX-License-Identifier: MIT
"""Tables of five landmarks per image, as RFW, BUPT and CelebA ship them.

A line is a path and ten numbers x1 y1 ... x5 y5, between them optionally one more number (a
label, in RFW and BUPT). Columns are separated by tabs, commas or spaces. Lines before the first
such line (CelebA's count and header) are passed over.
"""

from __future__ import annotations

from array import array
from pathlib import Path, PurePosixPath

import numpy as np

from arcface_fair.data.record.overlap import plain
from arcface_fair.errors import UserError

_POINTS = 10


class Landmarks:
    """Landmarks by image, from one list or several.  len(): the number of images listed.

    An image is found by the last parts of its path, at most three (group/person/file), since
    lists begin theirs at folders of their authors. Raises UserError if the file cannot be read,
    a line is wrong, or an image stands there twice with different points.
    """

    def __init__(self, *paths: str | Path) -> None:
        self.name = ", ".join(str(path) for path in paths)
        self._rows: dict[str, int] = {}
        self._short: dict[str, int] = {}
        numbers = array("f")
        for path in paths:
            self._read(Path(path), numbers)
        self.points = np.frombuffer(numbers, np.float32).reshape(-1, 5, 2)

    def _read(self, path: Path, numbers: array) -> None:
        seen = False
        try:
            with path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    seen |= self._add(line.strip(), f"{path}, line {number}", numbers, seen)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UserError(
                f"landmarks {path} cannot be read ({reason}); give a text file of paths and "
                "x1 y1 ... x5 y5"
            ) from error
        if not seen:
            raise UserError(
                f"landmarks {path} holds no line of a path and ten numbers; "
                "write PATH x1 y1 ... x5 y5, one image a line"
            )

    def __len__(self) -> int:
        return len(self.points)

    def _add(self, line: str, where: str, numbers: array, seen: bool) -> bool:
        """Takes up a line; whether it tells landmarks.  found: an earlier line of it did."""
        if not line:
            return False
        path, values = _split(line)
        if values is None:
            if seen:
                raise UserError(
                    f"{where}: expected a path and ten numbers x1 y1 ... x5 y5 (a label may stand "
                    f"between), found {line[:60]!r}; correct the line"
                )
            return False
        parts = _parts(path)
        row = len(numbers) // _POINTS
        key = "/".join(parts[-3:])
        if (known := self._rows.setdefault(key, row)) != row:
            if values != numbers[known * _POINTS : (known + 1) * _POINTS].tolist():
                raise UserError(
                    f"{where}: {key} has other landmarks in an earlier line; keep one of them"
                )
            return True
        for short in {"/".join(parts[-2:]), parts[-1]} - {key}:
            # -1: several images end like this, so the short name says nothing.
            self._short[short] = -1 if short in self._short else row
        numbers.extend(values)
        return True

    def find(self, path: str | Path) -> np.ndarray | None:
        """float32 [5, 2] of the image, or None if the list has none for it."""
        parts = _parts(str(path))
        for count in (3, 2, 1):
            key = "/".join(parts[-count:])
            row = self._rows.get(key, self._short.get(key, -1))
            # A file name alone is enough only where the list itself gives no folder.
            if row >= 0 and (count > 1 or key in self._rows or len(parts) == 1):
                return self.points[row]
        return None


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(plain(path.replace("\\", "/"))).parts or ("",)


def _split(line: str) -> tuple[str, list[float] | None]:
    """Path and ten numbers; None in place of them if the line is no such line.

    From the right, since a path may hold spaces.
    """
    separator = "\t" if "\t" in line else "," if line.count(",") >= _POINTS else None
    cells = line.rsplit(separator, _POINTS + 1)
    if len(cells) < _POINTS + 1:
        return "", None
    try:
        values = array("f", map(float, cells[-_POINTS:])).tolist()
    except (ValueError, OverflowError):
        return "", None
    if len(cells) == _POINTS + 2 and not _is_number(cells[1]):
        # The cell before the numbers belongs to a path with a space in it.
        return (separator or " ").join(cells[:2]).strip(), values
    return cells[0].strip(), values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

# SPDX-License-Identifier: MIT
"""The table from identity to group: a TSV that is either right or refused with its line.

Header, then one line per class. Column ``identity`` is the record's class index, 0..C-1, each
exactly once; ``name`` is optional and for people; every other column is an attribute whose
values are words, empty where unknown. Partitions (``partitions/stage_N.tsv``) follow the same
rules. C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files

_RESERVED = ("identity", "name")


@dataclass(frozen=True)
class Attribute:
    """One attribute of all classes.

    names: the words that occur, sorted.  codes: int64 [C], an index into ``names``, -1 unknown.
    """

    names: tuple[str, ...]
    codes: np.ndarray

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Attribute:
        """From one word per class, empty where unknown."""
        names = tuple(sorted(set(words) - {""}))
        code = {"": -1, **{name: number for number, name in enumerate(names)}}
        return cls(names, np.array([code[word] for word in words], np.int64))

    def words(self) -> list[str]:
        """One word per class, empty where unknown."""
        return [self.names[code] if code >= 0 else "" for code in self.codes.tolist()]


@dataclass(frozen=True)
class GroupTable:
    """Attributes of all classes by name, and the classes' names (None if the table has none)."""

    attributes: dict[str, Attribute]
    class_names: tuple[str, ...] | None = None

    @classmethod
    def read(cls, path: str | Path, num_classes: int) -> GroupTable:
        """Reads and checks the table. Raises UserError naming file and line otherwise."""
        header, *lines = _lines(Path(path))
        columns = _columns(header, f"{path}, line 1")
        rows: dict[int, list[str]] = {}
        for number, line in enumerate(lines, start=2):
            cells = [cell.strip() for cell in line.split("\t")]
            identity = _check_line(cells, columns, num_classes, f"{path}, line {number}")
            if identity in rows:
                raise UserError(
                    f"{path}, line {number}: identity {identity} has a line already; "
                    "give each class exactly one line"
                )
            rows[identity] = cells
        if len(rows) < num_classes:
            missing = next(identity for identity in range(num_classes) if identity not in rows)
            raise UserError(
                f"{path} ends at line {len(lines) + 1} without identity {missing} "
                f"({len(rows)} of {num_classes} classes are there); give every class a line, "
                "with empty cells where a group is unknown"
            )
        by_column = {
            column: [rows[identity][place] for identity in range(num_classes)]
            for place, column in enumerate(columns)
        }
        class_names = by_column.pop("name", None)
        del by_column["identity"]
        return cls.of_words(by_column, class_names)

    @classmethod
    def of_words(
        cls, attributes: Mapping[str, Sequence[str]], class_names: Sequence[str] | None = None
    ) -> GroupTable:
        """From one word per class for every attribute, empty where unknown."""
        return cls(
            {column: Attribute.of_words(words) for column, words in attributes.items()},
            None if class_names is None else tuple(class_names),
        )

    def write(self, path: str | Path) -> None:
        """Writes the table, whole or not at all. Raises UserError for what `read` would refuse."""
        columns: dict[str, Sequence[str]] = {}
        if self.class_names is not None:
            columns["name"] = self.class_names
        columns |= {column: attribute.words() for column, attribute in self.attributes.items()}
        num_classes = len(next(iter(columns.values()), ()))
        header = ["identity", *columns]
        _columns("\t".join(header), str(path))
        with atomic_files(path) as (file,):
            file.write(("\t".join(header) + "\n").encode())
            for identity in range(num_classes):
                cells = [str(identity), *(words[identity] for words in columns.values())]
                line = "\t".join(cells)
                what = f"{path}, line {identity + 2}"
                if "\n" in line or "\r" in line:
                    raise UserError(f"{what}: a cell holds a line break; write words without one")
                _check_line(line.split("\t"), header, num_classes, what)
                file.write((line + "\n").encode())

    def __getitem__(self, attribute: str) -> Attribute:
        if attribute not in self.attributes:
            raise UserError(
                f"the group table has no attribute {attribute!r}; it has "
                f"{', '.join(self.attributes)}: name one of these or add the column"
            )
        return self.attributes[attribute]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"group table {path} cannot be read ({error.strerror}); correct the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"group table {path} is not UTF-8 text; save it as UTF-8") from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines or [""]


def _columns(header: str, what: str) -> list[str]:
    columns = [cell.strip() for cell in header.split("\t")]
    if "identity" not in columns:
        raise UserError(
            f"{what}: the header has no column 'identity' (found {', '.join(columns)}); "
            "the first line must name the columns, separated by tabs, one of them 'identity'"
        )
    double = [column for column in columns if columns.count(column) > 1]
    if double or "" in columns:
        raise UserError(
            f"{what}: column {double[0] if double else ''!r} is named twice or not at all; "
            "give every column its own name"
        )
    if not set(columns) - set(_RESERVED):
        raise UserError(
            f"{what}: there is no attribute column beside {', '.join(columns)}; "
            "add one, such as 'group', with a word per class"
        )
    return columns


def _check_line(cells: Sequence[str], columns: Sequence[str], num_classes: int, what: str) -> int:
    """The line's identity."""
    if len(cells) != len(columns):
        raise UserError(
            f"{what}: {len(cells)} cells but the header has {len(columns)} columns; "
            "separate cells by one tab and leave an unknown one empty"
        )
    row = dict(zip(columns, cells, strict=True))
    text = row["identity"]
    if not (text.isascii() and text.isdigit() and int(text[:18]) < num_classes):
        raise UserError(
            f"{what}: identity {text!r} is none of the classes 0..{num_classes - 1}; "
            "use the record's class indices, and num_classes of the same record"
        )
    for column, cell in row.items():
        if column not in _RESERVED and _is_number(cell):
            raise UserError(
                f"{what}: {column} is {cell!r}, a number; groups are words "
                "(write 'group_1' for 1) and an unknown one is empty"
            )
    return int(text)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

# SPDX-License-Identifier: MIT
"""The table from identity to group: a TSV that is either right or refused with its line.

Header, then one line per class. Column ``identity`` is the record's class index, 0..C-1, each
exactly once; ``name`` is optional and for people; every other column is an attribute whose
values are words, empty where unknown. Partitions (``partitions/stage_N.tsv``) follow the same
rules. C classes.

Group tables from others: columns joined, words merged, per-image labels put to the vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcface_fair.data.record.overlap import plain
from arcface_fair.data.record.sources import read_table
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files

_WHO = ("identity", "name", "key", "path")


def join(tables: Sequence[GroupTable]) -> GroupTable:
    """The attributes of all tables of the same classes; an unknown word is filled from the next.

    Raises UserError where two tables say different things of a class.
    """
    columns: dict[str, list[str]] = {}
    for table in tables:
        for column, attribute in table.attributes.items():
            words = attribute.words()
            known = columns.setdefault(column, words)
            for identity, (old, new) in enumerate(zip(known, words, strict=True)):
                if old and new and old != new:
                    raise UserError(
                        f"identity {identity} is {old!r} in one table and {new!r} in another "
                        f"(column {column}); correct one, or rename its column"
                    )
            columns[column] = [old or new for old, new in zip(known, words, strict=True)]
    names = next((table.class_names for table in tables if table.class_names), None)
    return GroupTable.of_words(columns, names)


def rename(table: GroupTable, attribute: str, words: Mapping[str, str]) -> GroupTable:
    """The table with words of one attribute replaced, so that groups merge; "" makes unknown.

    Raises UserError for an attribute or word that the table does not have.
    """
    known = table[attribute]
    unknown = [word for word in words if word not in known.names]
    if unknown:
        raise UserError(
            f"{attribute} has no word {unknown[0]!r}; it has {', '.join(known.names)}: "
            "name one of these"
        )
    columns = {column: own.words() for column, own in table.attributes.items()}
    columns[attribute] = [words.get(word, word) for word in columns[attribute]]
    return GroupTable.of_words(columns, table.class_names)


def vote(
    labels: str | Path,
    num_classes: int,
    *,
    class_names: Sequence[str] | None = None,
    identities: Mapping[int, int] | None = None,
    min_share: float = 0.5,
) -> tuple[GroupTable, dict[str, np.ndarray], np.ndarray]:
    """The word that most images of an identity have, per attribute.

    labels: a table with a line per image; one column says whose it is, ``identity`` (the class),
    ``name``, ``key`` (of the record) or ``path`` (in a folder of the identity's name), the others
    are attributes, empty where unknown.  class_names: for name and path.  identities: class by
    record key, for key.  min_share: a word with less than this share of the labelled images is
    no majority, nor is one of two equal ones; the identity is unknown then.
    Returns the table, the share of the leading word per attribute (float64 [C], NaN where no
    image is labelled) and the number of lines per class (int64 [C]).
    Raises UserError naming the line.
    """
    if not 0 < min_share <= 1:
        raise UserError(f"the share must be above 0 and at most 1, got {min_share}; 0.5 is usual")
    ballots, images = _count(Path(labels), num_classes, _by_name(class_names), identities or {})
    columns, shares = {}, {}
    for column, counters in ballots.items():
        results = [_result(counter, min_share) for counter in counters]
        columns[column] = [word for word, _ in results]
        shares[column] = np.array([share for _, share in results])
    return GroupTable.of_words(columns, class_names), shares, images


def _count(
    path: Path, num_classes: int, by_name: Mapping[str, int], by_key: Mapping[int, int]
) -> tuple[dict[str, list[Counter[str]]], np.ndarray]:
    """Votes by attribute and class, and the number of lines per class."""
    ballots: dict[str, list[Counter[str]]] = {}
    images = np.zeros(num_classes, np.int64)
    for line, row in read_table(path, (), "labels"):
        who = next((column for column in _WHO if column in row), None)
        if who is None or len(row) < 2:
            raise UserError(
                f"labels {path}, line 1: expected one column of {', '.join(_WHO)}, "
                "and attributes beside it; name the columns so"
            )
        identity = _identity(who, row[who], num_classes, by_name, by_key)
        if identity is None:
            raise UserError(
                f"labels {path}, line {line}: {who} {row[who]!r} is none of the record's "
                f"{num_classes} classes; correct it or leave the line out"
            )
        images[identity] += 1
        for column, word in row.items():
            if column not in _WHO and word:
                own = ballots.setdefault(column, [Counter() for _ in range(num_classes)])
                own[identity][word] += 1
    if not ballots:
        raise UserError(f"labels {path} labels no image; write a word under an attribute")
    return ballots, images


def _by_name(class_names: Sequence[str] | None) -> dict[str, int]:
    return {plain(name): number for number, name in enumerate(class_names or ())}


def _identity(
    who: str,
    cell: str,
    num_classes: int,
    by_name: Mapping[str, int],
    by_key: Mapping[int, int],
) -> int | None:
    if who in ("name", "path"):
        name = plain(Path(cell.replace("\\", "/")).parent.name if who == "path" else cell)
        return by_name.get(name)
    if not (cell.isascii() and cell.isdigit()):
        return None
    number: int | None = int(cell[:18])
    if who == "key":
        number = by_key.get(int(cell[:18]))
    return number if number is not None and number < num_classes else None


def _result(counter: Counter[str], min_share: float) -> tuple[str, float]:
    """The word (empty without a majority) and the share of the leading one."""
    leading = counter.most_common(2)
    if not leading:
        return "", float("nan")
    share = leading[0][1] / counter.total()
    tied = len(leading) == 2 and leading[1][1] == leading[0][1]
    return ("" if tied or share < min_share else leading[0][0]), share


def write_shares(
    path: str | Path, table: GroupTable, shares: Mapping[str, np.ndarray], images: np.ndarray
) -> None:
    """A table for people: identity, images, and per attribute the word and its share 0..1."""
    header = [cell for column in shares for cell in (column, f"{column}_share")]
    with atomic_files(path) as (file,):
        file.write(("\t".join(["identity", "images", *header]) + "\n").encode())
        words = {column: table[column].words() for column in shares}
        for identity, count in enumerate(images.tolist()):
            cells = [str(identity), str(count)]
            for column, values in shares.items():
                share = values[identity]
                cells += [words[column][identity], "" if np.isnan(share) else f"{share:.4f}"]
            file.write(("\t".join(cells) + "\n").encode())


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
            column: [rows[identity][position] for identity in range(num_classes)]
            for position, column in enumerate(columns)
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

# SPDX-License-Identifier: MIT
"""Group tables from others: columns joined, words merged, per-image labels put to the vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from arcface_fair.data.groups import GroupTable
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

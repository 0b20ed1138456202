# SPDX-License-Identifier: MIT
"""Which identities of a training set also stand in a test list, by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from arcface_fair.errors import UserError


def plain(name: str) -> str:
    """The name as it is compared: one Unicode form (folders of macOS use another)."""
    return unicodedata.normalize("NFC", name.strip())


def read_names(path: str | Path) -> set[str]:
    """The names in a list: the first column of every line (tabs), or the whole line.

    RFW's ``*_people.txt`` and ``*_pairs.txt`` are such lists: of a pair of two people, four
    columns, both names count. Lines that begin with # are comments.
    Raises UserError if the file cannot be read or holds no name.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(
            f"name list {path} cannot be read ({reason}); give a text file with one name a line"
        ) from error
    names: set[str] = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if not cells[0] or cells[0].startswith("#"):
            continue
        names.add(plain(cells[0]))
        if len(cells) == 4:
            names.add(plain(cells[2]))
    if not names:
        raise UserError(f"name list {path} holds no name; write one name a line")
    return names


def overlapping(class_names: Sequence[str], lists: Iterable[str | Path]) -> list[int]:
    """The classes whose names stand in one of the lists.

    A name "race/person", as packing writes where two people share one, also matches "person".
    """
    wanted: set[str] = set().union(*(read_names(path) for path in lists))
    return [
        number
        for number, name in enumerate(class_names)
        if plain(name) in wanted or plain(name).rsplit("/", 1)[-1] in wanted
    ]

# SPDX-License-Identifier: MIT
"""What can be packed: image folders in one or two levels, and lists, as people with images.

One level is ``identity/image``; two are ``group/identity/image``, as BUPT-Balancedface and
-Globalface come (race/identity). A list is a table with a header: columns ``path`` and
``identity``, every other column an attribute of the identity. All is in the order of names, so
that the same input always gives the same classes.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcface_fair.data.record.image_folder import IMAGE_SUFFIXES
from arcface_fair.data.record.overlap import plain
from arcface_fair.errors import UserError


@dataclass(frozen=True)
class Person:
    """One identity to pack.

    name: for people.  attributes: word by column, empty where unknown.  folder: of the images;
    files: their paths, or empty for all images in ``folder``.
    """

    name: str
    attributes: dict[str, str]
    folder: Path
    files: tuple[str, ...] = field(default=())

    def images(self) -> list[Path]:
        """The image files in the order of their names (a list's in its own order)."""
        return [self.folder / name for name in self.files or _image_names(self.folder)]


def open_source(path: str | Path, group_column: str = "race") -> list[Person]:
    """The people in an image folder or a list, in the order in which they become classes.

    group_column: the attribute that the outer folders of a nested one are values of.
    Raises UserError if there are none, or naming the line of a list.
    """
    path = Path(path)
    if path.is_dir():
        return _folder_people(path, group_column)
    if not path.exists():
        raise UserError(f"{path} does not exist; give a folder of images or a list of them")
    return _list_people(path)


def _folder_people(root: Path, group_column: str) -> list[Person]:
    people: list[Person] = []
    for child in _folders(root):
        inner = _folders(child)
        own = _image_names(child)
        if inner and own:
            raise UserError(
                f"{child} holds both images ({own[0]}) and folders ({inner[0].name}); expected "
                "identity/image or group/identity/image, move one kind elsewhere"
            )
        if inner:
            words = {group_column: child.name}
            people += [Person(person.name, words, person) for person in inner]
        else:
            people.append(Person(child.name, {}, child))
    nested = [person for person in people if person.attributes]
    if nested and len(nested) < len(people):
        flat = next(person for person in people if not person.attributes)
        if flat.images():
            raise UserError(
                f"{root} holds identities ({flat.folder.name}) beside groups of identities "
                f"({nested[0].folder.parent.name}); expected one or the other throughout"
            )
    if not people:
        raise UserError(
            f"image folder {root} has no sub-folders; put each identity's images in a sub-folder "
            "of its own, or give a list"
        )
    return people


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}); correct its permissions"
        ) from error


def _folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _entries(folder) if entry.is_dir()]


def _image_names(folder: Path) -> list[str]:
    return [
        entry.name
        for entry in _entries(folder)
        if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES and not entry.is_dir()
    ]


def read_table(path: Path, needed: Sequence[str], what: str) -> Iterator[tuple[int, dict]]:
    """(line, cell by column) of a table with a header, separated by tabs or commas.

    Raises UserError naming ``what`` and the line for a wrong one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter="\t" if "\t" in head else ",")
            columns = [cell.strip() for cell in next(rows, [])]
            lacking = [name for name in needed if name not in columns]
            if lacking or len(set(columns)) < len(columns) or "" in columns:
                raise UserError(
                    f"{what} {path}, line 1: the header is {', '.join(columns) or 'empty'}; "
                    f"expected different names, among them {', '.join(needed)}, separated by "
                    "tabs or commas"
                )
            for cells in rows:
                if not any(cells):
                    continue
                if len(cells) != len(columns):
                    raise UserError(
                        f"{what} {path}, line {rows.line_num}: {len(cells)} cells but the header "
                        f"has {len(columns)} columns; quote a cell that holds the separator"
                    )
                yield rows.line_num, dict(zip(columns, map(str.strip, cells), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{what} {path} cannot be read ({reason}); give a UTF-8 text table"
        ) from error


def _list_people(path: Path) -> list[Person]:
    files: dict[str, list[str]] = {}
    words: dict[str, dict[str, Counter[str]]] = {}
    seen: dict[str, int] = {}
    for line, row in read_table(path, ("path", "identity"), "list"):
        file, name = row.pop("path"), row.pop("identity")
        if not file or not name:
            raise UserError(f"list {path}, line {line}: path or identity is empty; fill it in")
        if file in seen:
            raise UserError(
                f"list {path}, line {line}: {file} stands in line {seen[file]} already; "
                "name each image once"
            )
        seen[file] = line
        files.setdefault(name, []).append(file)
        own = words.setdefault(name, {column: Counter() for column in row})
        for column, word in row.items():
            own[column][word] += 1
    if not files:
        raise UserError(f"list {path} names no image; write one a line under the header")
    for name, own in words.items():
        for column, votes in own.items():
            if len(set(votes) - {""}) > 1:
                raise UserError(
                    f"list {path}: {name} has several values of {column} "
                    f"({', '.join(sorted(set(votes) - {''}))}); an identity has one, take a "
                    "majority with `arcface-fair groups vote`"
                )
    return [
        Person(
            name,
            {column: max(votes, key=bool) for column, votes in words[name].items()},
            path.parent,
            tuple(files[name]),
        )
        for name in sorted(files)
    ]


def settle_duplicates(people: list[Person], rule: str) -> list[Person]:
    """The people after ``rule`` for those who share a name (compared as in `overlap`).

    refuse: raises UserError.  separate: each stays, named group/name.  drop: all of them go.
    """
    counts = Counter(plain(person.name) for person in people)
    twice: Callable[[Person], bool] = lambda person: counts[plain(person.name)] > 1  # noqa: E731
    shared = [person for person in people if twice(person)]
    if not shared:
        return people
    if rule == "drop":
        return [person for person in people if not twice(person)]
    if rule == "separate":
        return [
            Person(
                f"{person.folder.parent.name}/{person.name}",
                person.attributes,
                person.folder,
                person.files,
            )
            if twice(person)
            else person
            for person in people
        ]
    first = [str(p.folder) for p in shared if plain(p.name) == plain(shared[0].name)]
    raise UserError(
        f"identity {shared[0].name!r} occurs {len(first)} times ({', '.join(first[:3])}; "
        f"{len(shared)} folders share names in all); merge them, or give --duplicates separate "
        "(different people) or --duplicates drop"
    )

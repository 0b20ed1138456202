# SPDX-License-Identifier: MIT
"""Verification sets from a table of pairs with groups, and from DigiFace's folders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from arcface_fair.data.image.crop import Crop
from arcface_fair.data.record.image_folder import IMAGE_SUFFIXES
from arcface_fair.data.record.sources import read_table
from arcface_fair.data.sets.pair_rules import draw_pairs
from arcface_fair.data.sets.pair_sets import PairSet
from arcface_fair.errors import UserError

_YES, _NO = ("1", "true", "same", "yes", "genuine"), ("0", "false", "different", "no", "impostor")
_SAME = dict.fromkeys(_YES, True) | dict.fromkeys(_NO, False)


def listed_sets(path: str | Path, images: str | Path | None, crop: Crop) -> list[PairSet]:
    """One set per group of the table ``path``: columns left, right, same and optionally group.

    left, right: image files below folder ``images`` (None: the table's own).  same: 1 or 0 (also
    true/false, same/different).  The pairs keep their order. Sets are named GROUP_test, or like
    the table where there is no group. Raises UserError naming the line.
    """
    path = Path(path)
    root = path.parent if images is None else Path(images)
    sets: dict[str, tuple[list[Path], list[Path], list[bool]]] = {}
    for line, row in read_table(path, ("left", "right", "same"), "pair list"):
        same = _SAME.get(row["same"].lower())
        if same is None or not (row["left"] and row["right"]):
            raise UserError(
                f"pair list {path}, line {line}: expected two images and 1 or 0 for same, found "
                f"{row['left']!r}, {row['right']!r}, {row['same']!r}; correct the line"
            )
        group = row.get("group", "")
        if "group" in row and not re.fullmatch(r"[\w. -]+", group):
            raise UserError(
                f"pair list {path}, line {line}: group is {group!r}; it becomes a file's name, "
                "use letters, digits, space, dot, minus and underscore"
            )
        left, right, flags = sets.setdefault(group, ([], [], []))
        left.append(root / row["left"])
        right.append(root / row["right"])
        flags.append(same)
    if not sets:
        raise UserError(f"pair list {path} names no pair; write one a line under the header")
    return [
        PairSet(f"{group}_test" if group else path.stem, *sides, crop)
        for group, sides in sets.items()
    ]


def digiface_set(
    folder: str | Path, crop: Crop, identities: int = 1000, pairs: int = 6000, seed: int = 0
) -> PairSet:
    """The first ``identities`` of DigiFace-1M by number, paired as `pair_rules` says.

    folder: numbered folders of images, or folders that hold those (the archives' names).
    Raises UserError if there are fewer, or if they cannot make so many pairs.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} does not exist; name the folder with DigiFace's numbered folders")
    inner = [child for child in root.iterdir() if child.is_dir()]
    nested = [grand for child in inner if not child.name.isdigit() for grand in child.iterdir()]
    numbered = [child for child in (*inner, *nested) if child.name.isdigit() and child.is_dir()]
    people = sorted(numbered, key=lambda child: int(child.name))[:identities]
    if len(people) < identities:
        raise UserError(
            f"{root} holds {len(people)} numbered folders, {identities} identities are wanted; "
            "unpack the archive with 72 images per identity or ask for fewer with --identities"
        )
    files = [
        sorted(file for file in person.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        for person in people
    ]
    images = [file for own in files for file in own]
    labels = np.repeat(np.arange(len(files)), [len(own) for own in files])
    left, right, same = draw_pairs(labels, pairs, np.random.default_rng(seed), str(root))
    one, other = ([images[i] for i in side] for side in (left.tolist(), right.tolist()))
    return PairSet("digiface", one, other, same.tolist(), crop)

# SPDX-License-Identifier: MIT
"""CelebA as verification sets, one per attribute and one for its absence.

There is no official list of pairs. Ours: images of the validation and test splits; the set
``celeba_male`` holds pairs of two images that both have the attribute Male, ``celeba_not_male``
of two that both lack it, each drawn as `pair_rules` says, same or different identity within
the attribute. Aligned from the five landmarks of the aligned images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.landmarks import Landmarks
from arcface_fair.data.sets.pair_sets import FOLDS, PairSet, draw_pairs, most_pairs
from arcface_fair.errors import UserError

_SPLITS = ("1", "2")  # of list_eval_partition.txt: validation and test
_PLACES = ("", "Anno", "Eval", "Img")


def celeba_sets(
    folder: str | Path, attributes: Sequence[str] = (), pairs: int = 6000, seed: int = 0
) -> list[PairSet]:
    """Two sets per attribute (all 40, or those named), each of ``pairs`` or as many as can be.

    Sets of fewer than 20 possible pairs are left out.
    Raises UserError for missing files, wrong lines, or an attribute that there is not.
    """
    root = Path(folder)
    splits = dict(_rows(_find(root, "list_eval_partition.txt"), 2))
    people = dict(_rows(_find(root, "identity_CelebA.txt"), 2))
    names, values = _attributes(_find(root, "list_attr_celeba.txt"))
    images = _find(root, "img_align_celeba")
    crop = Crop(Landmarks(_find(root, "list_landmarks_align_celeba.txt")))
    unknown = [name for name in attributes if name not in names]
    if unknown:
        raise UserError(
            f"CelebA has no attribute {unknown[0]!r}; it has {', '.join(names)}: name some of these"
        )
    files = _chosen(splits, people, values)
    identities = np.array([int(people[file]) for file in files], np.int64)
    table = np.array([values[file] for file in files]).reshape(len(files), len(names))
    sets = []
    for name in attributes or names:
        for word, present in ((name, True), (f"not_{name}", False)):
            members = np.flatnonzero(table[:, names.index(name)] == present)
            count = min(pairs, most_pairs(identities[members]))
            if count < 2 * FOLDS:
                continue
            # The draw of a set does not depend on which others are asked for.
            rng = np.random.default_rng((seed, crc32(word.encode())))
            *sides, same = draw_pairs(identities[members], count, rng, word)
            one, other = ([images / files[members[i]] for i in side] for side in sides)
            sets.append(PairSet(f"celeba_{word.lower()}", one, other, same.tolist(), crop))
    return sets


def _chosen(
    splits: dict[str, str], people: dict[str, str], values: dict[str, list[bool]]
) -> list[str]:
    """The images of validation and test. Raises UserError if another list lacks one."""
    files = sorted(file for file, split in splits.items() if split in _SPLITS)
    lacking = next((file for file in files if not (file in people and file in values)), None)
    if lacking is not None:
        raise UserError(
            f"{lacking} of list_eval_partition.txt has no identity or no attributes; "
            "the lists in the folder do not belong together, download them again"
        )
    return files


def _find(root: Path, name: str) -> Path:
    for position in _PLACES:
        if (root / position / name).exists():
            return root / position / name
    raise UserError(
        f"{root} does not hold CelebA's {name} (nor do its folders Anno, Eval, Img); "
        "download it from the authors' page and put it there"
    )


def _rows(path: Path, columns: int) -> list[list[str]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    wrong = next((n for n, row in enumerate(rows, start=1) if len(row) != columns), None)
    if wrong or not rows:
        raise UserError(
            f"{path}, line {wrong or 1}: expected {columns} columns; download the file again"
        )
    return rows


def _attributes(path: Path) -> tuple[list[str], dict[str, list[bool]]]:
    """Names, and per image whether it has each; the file begins with a count and the names."""
    lines = path.read_text().splitlines()
    names = lines[1].split() if len(lines) > 2 else []
    values: dict[str, list[bool]] = {}
    for number, line in enumerate(lines[2:], start=3):
        file, *cells = line.split() or [""]
        if len(cells) != len(names) or not set(cells) <= {"1", "-1", "0"}:
            raise UserError(
                f"{path}, line {number}: expected an image and {len(names)} times 1 or -1; "
                "download the file again"
            )
        values[file] = [cell == "1" for cell in cells]
    if not values:
        raise UserError(f"{path} names no image; download the file again")
    return names, values

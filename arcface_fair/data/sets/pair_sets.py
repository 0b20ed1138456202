# SPDX-License-Identifier: MIT
"""Which images meet in a verification set, and the set made from their files and checked.

Draws verification pairs from labelled images where no list of pairs exists; the rule is ours.

Identities are split into ten folds, larger ones first, so that no person stands in two of the
ten folds. From each part come as many genuine as impostor pairs, genuine first. Genuine pairs go
round: every identity gives one, then every identity another, so that people with many images do
not outweigh the rest. Impostor pairs take two identities and one image of each, all with equal
chance. No pair occurs twice.

Verification sets from a table of pairs with groups, and from DigiFace's folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from arcface_fair.data.image.alignment import residual, similarity_transform
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.record.image_folder import IMAGE_SUFFIXES
from arcface_fair.data.record.parallel import ordered_map
from arcface_fair.data.record.sources import read_table
from arcface_fair.data.sets.bins import decode_bin, load_bin, write_bin
from arcface_fair.errors import UserError

FOLDS = 10


def draw_pairs(
    identities: np.ndarray, pairs: int, rng: np.random.Generator, what: str = "the set"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right int64 [pairs], indices of images, and bool [pairs]: do they show one person.

    identities: int [n], of every image.  pairs: a multiple of 20.
    Raises UserError if ``pairs`` is none or more than the images can make.
    """
    most = most_pairs(identities)
    if pairs < 2 * FOLDS or pairs % (2 * FOLDS) or pairs > most:
        raise UserError(
            f"{pairs} pairs are asked of {what} but its {len(identities)} images can make {most}; "
            f"ask for a multiple of {2 * FOLDS} up to that"
        )
    half = pairs // 2 // FOLDS
    chosen: list[tuple[int, int]] = []
    for people in _deal(identities):
        shuffled = [people[position] for position in rng.permutation(len(people)).tolist()]
        chosen += _genuine(shuffled, half, rng)
        chosen += _impostor(people, half, rng)
    left, right = np.array(chosen, np.int64).T
    return left, right, np.tile(np.repeat([True, False], half), FOLDS)


def most_pairs(identities: np.ndarray) -> int:
    """How many pairs `draw_pairs` can make of these images; a multiple of 20."""
    halves = []
    for people in _deal(identities):
        sizes = np.array([len(images) for images in people] or [0])
        genuine = int((sizes * (sizes - 1)).sum()) // 2
        impostor = int(sizes.sum() ** 2 - (sizes**2).sum()) // 2
        halves.append(min(genuine, impostor))
    return 2 * FOLDS * min(halves)


def _deal(identities: np.ndarray) -> list[list[np.ndarray]]:
    """The images of every identity, split into ten folds."""
    order = np.argsort(identities, kind="stable")
    _, starts = np.unique(np.asarray(identities)[order], return_index=True)
    people = list(np.split(order, starts)[1:]) if len(order) else []
    people.sort(key=len, reverse=True)
    return [people[part::FOLDS] for part in range(FOLDS)]


def _genuine(
    people: list[np.ndarray], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    rounds = []
    for images in people:
        own = list(combinations(images.tolist(), 2))
        rounds.append([own[position] for position in rng.permutation(len(own))[:count].tolist()])
    chosen: list[tuple[int, int]] = []
    for turn in range(count):
        chosen += [own[turn] for own in rounds if turn < len(own)]
        if len(chosen) >= count:
            break
    return chosen[:count]


def _impostor(
    people: list[np.ndarray], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    sizes = np.array([len(images) for images in people])
    if (sizes.sum() ** 2 - (sizes**2).sum()) // 2 <= 8 * count:
        every = [
            (one, other)
            for first, second in combinations(people, 2)
            for one in first.tolist()
            for other in second.tolist()
        ]
        return [every[position] for position in rng.permutation(len(every))[:count].tolist()]
    chosen: dict[tuple[int, int], None] = {}  # a set that keeps its order
    while len(chosen) < count:
        one, other = rng.integers(len(people), size=2).tolist()
        if one != other:
            pair = sorted(int(rng.choice(people[person])) for person in (one, other))
            chosen[pair[0], pair[1]] = None
    return list(chosen)


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


_CHECKED = 256  # images decoded at a time on the way back


@dataclass(frozen=True)
class PairSet:
    """Pair i is ``left[i]`` and ``right[i]``; same[i]: do they show one person.  name: the file's.

    crop: how this set's faces are made.
    """

    name: str
    left: Sequence[Path]
    right: Sequence[Path]
    same: Sequence[bool]
    crop: Crop


@dataclass(frozen=True)
class Built:
    """What was written.  images: different ones.  dropped: pairs left out for a corrupt image.

    residual: median distance in pixels of the moved landmarks from the template; None without
    landmarks.
    """

    path: Path
    pairs: int
    genuine: int
    images: int
    dropped: int
    residual: float | None

    def __str__(self) -> str:
        text = f"{self.path}: {self.pairs} pairs ({self.genuine} genuine), {self.images} images"
        if self.residual is not None:
            text += f", landmarks {self.residual:.1f} px from the template"
        if self.dropped:
            text += f", {self.dropped} pairs left out"
        return text


def build_set(
    pairs: PairSet,
    folder: str | Path,
    *,
    workers: int = 2,
    skip_bad: bool = False,
    progress: Callable[[int], object] = int,
) -> Built:
    """Writes ``folder``/NAME.bin and reads it back before it gets its name.

    skip_bad: leaves out pairs with a corrupt image. progress: called with 1 per image.
    Raises UserError naming the image, or if no pair is left.
    """
    path = Path(folder) / f"{pairs.name}.bin"
    # An image in many pairs is made and stored once.
    files = list(dict.fromkeys([*pairs.left, *pairs.right]))
    faces: dict[Path, bytes] = {}
    work = ordered_map(lambda file: _face(pairs.crop, file), files, workers)
    for file, face in zip(files, work, strict=True):
        progress(1)
        if isinstance(face, bytes):
            faces[file] = face
        elif not skip_bad:
            raise face
    chosen = [
        (one, other, bool(same))
        for one, other, same in zip(pairs.left, pairs.right, pairs.same, strict=True)
        if one in faces and other in faces
    ]
    if not chosen:
        raise UserError(
            f"no pair of {pairs.name} has two images of use; check the folders and landmarks"
        )
    _write_checked(path, [faces[file] for pair in chosen for file in pair[:2]], chosen)
    genuine = sum(same for *_, same in chosen)
    dropped = len(pairs.same) - len(chosen)
    return Built(path, len(chosen), genuine, len(faces), dropped, _residual(pairs.crop, faces))


def _face(crop: Crop, file: Path) -> bytes | BadImageError:
    try:
        return crop.face(file)
    except BadImageError as error:
        return error


def _write_checked(path: Path, images: list[bytes], chosen: list[tuple[Path, Path, bool]]) -> None:
    same = [flag for *_, flag in chosen]
    draft = path.with_name(f".{path.name}.{os.getpid()}.check")
    try:
        write_bin(draft, images, same)
        back, flags = load_bin(draft)
        if back != images or flags.tolist() != same:
            raise UserError(
                f"{path} did not come back from the disk as it was written; check the disk"
            )
        unique = list({id(image): image for image in back}.values())
        for start in range(0, len(unique), _CHECKED):
            decode_bin(unique[start : start + _CHECKED], str(path))
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _residual(crop: Crop, files: dict[Path, bytes]) -> float | None:
    if crop.landmarks is None:
        return None
    points = [
        five_points for file in files if (five_points := crop.landmarks.find(file)) is not None
    ]
    return float(np.median([residual(p, similarity_transform(p)) for p in points]))

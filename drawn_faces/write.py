# SPDX-License-Identifier: MIT
"""Writes a drawn world to a folder that a training run can use, whole or not at all.

train.rec train.idx property   photographs, InsightFace layout
groups.tsv                     identity, name, race (the group), gender
attributes.tsv                 ground truth in words, to score partitions against
<group>_test.bin               pairs of unseen people (also <group>_validation.bin)
faces.jpg                      a contact sheet
world.json                     settings, seed and versions

A folder that appears whole or not at all, and is replaced only by a whole one.

Who is who in a drawn world, in words: the group table and the ground truth.

Chooses the verification pairs of one group: which images meet, in InsightFace's order.

Every tenth of the list holds as many genuine as impostor pairs, genuine first, so that the
usual ten folds (contiguous, unshuffled) are balanced. Impostors share group and gender; no
pair occurs twice.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path

import cv2
import numpy as np

import arcface_fair
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import FACE_SIZE, encode
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.data.sets.bins import write_bin
from arcface_fair.errors import UserError
from drawn_faces.context import own_context
from drawn_faces.draw import contact_sheet, draw_people
from drawn_faces.traits import GENDERS, draw_person, groups_of
from drawn_faces.world import World

SUMMARY = "world.json"


@contextmanager
def whole_folder(folder: Path, force: bool) -> Iterator[Path]:
    """A draft beside ``folder`` that takes its place when the block ends well."""
    if folder.exists():
        _check_replaceable(folder, force)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        draft.mkdir(parents=True)
        yield draft
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for rest in (draft, old):
            shutil.rmtree(rest, ignore_errors=True)


def _check_replaceable(folder: Path, force: bool) -> None:
    if not force:
        raise UserError(
            f"{folder} exists already; expected a new folder; "
            "name another one or give --force to replace a drawn world"
        )
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / SUMMARY).is_file()):
        raise UserError(
            f"{folder} holds no {SUMMARY}, so no drawn world; --force replaces only folders that "
            "this command wrote; name another folder"
        )


def group_table(world: World) -> GroupTable:
    """Attributes ``race`` (the group's name) and ``gender``, and a name for every identity."""
    groups = [world.group_names[g] for g in groups_of(world)]
    genders = [GENDERS[draw_person(world, i).gender] for i in range(world.identities)]
    names = [f"{group}_{i:05d}" for i, group in enumerate(groups)]
    return GroupTable.of_words({"race": groups, "gender": genders}, names)


def attribute_table(world: World) -> GroupTable:
    """Traits, the identity's own context, and ``context``: does it stay (constant) or vary."""
    columns: dict[str, list[str]] = {}
    for identity in range(world.identities):
        person = draw_person(world, identity)
        stays = world.keep(person.group).max() >= 0.5
        row = {
            "race": world.group_names[person.group],
            "gender": GENDERS[person.gender],
            "context": "constant" if stays else "varied",
            **person.words(),
            **own_context(world, identity, person.gender),
        }
        for column, word in row.items():
            columns.setdefault(column, []).append(word)
    return GroupTable.of_words(columns)


FOLDS = 10
Image = tuple[int, int]  # identity, shot


def verification_pairs(
    identities: np.ndarray,
    genders: np.ndarray,
    images: int,
    pairs: int,
    rng: np.random.Generator,
) -> tuple[list[tuple[Image, Image]], list[bool]]:
    """Pairs of (identity, shot) and whether they show one person; both of length ``pairs``.

    identities, genders: int [n], the people of one group.  images: per person.
    Raises UserError if ``pairs`` is no multiple of 20 or more than the images can make.
    """
    _check(len(identities), np.bincount(genders), images, pairs)
    genuine = _genuine(identities, images, pairs // 2, rng)
    impostor = _impostor(identities, genders, images, pairs // 2, rng)
    half = pairs // 2 // FOLDS
    chosen: list[tuple[Image, Image]] = []
    for start in range(0, pairs // 2, half):
        chosen += genuine[start : start + half] + impostor[start : start + half]
    return chosen, ([True] * half + [False] * half) * FOLDS


def _check(people: int, by_gender: np.ndarray, images: int, pairs: int) -> None:
    if pairs < 2 * FOLDS or pairs % (2 * FOLDS):
        raise UserError(
            f"pairs is {pairs}; expected a multiple of {2 * FOLDS}, so that each of {FOLDS} folds "
            "holds as many genuine as impostor pairs; choose such a number"
        )
    genuine = people * comb(images, 2)
    impostor = sum(comb(int(n), 2) for n in by_gender) * images**2
    if min(genuine, impostor) < pairs // 2:
        raise UserError(
            f"{people} people with {images} images each make {genuine} genuine and {impostor} "
            f"same-gender impostor pairs, expected at least {pairs // 2} of either; "
            "draw more people or images, or ask for fewer pairs"
        )


def _genuine(
    identities: np.ndarray, images: int, count: int, rng: np.random.Generator
) -> list[tuple[Image, Image]]:
    first, second = np.triu_indices(images, 1)
    chosen = rng.choice(len(identities) * len(first), count, replace=False)
    who, which = identities[chosen // len(first)], chosen % len(first)
    rows = zip(who.tolist(), first[which].tolist(), second[which].tolist(), strict=True)
    return [((i, a), (i, b)) for i, a, b in rows]


def _impostor(
    identities: np.ndarray,
    genders: np.ndarray,
    images: int,
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Image, Image]]:
    chosen: dict[tuple[Image, Image], None] = {}  # a set that keeps its order
    while len(chosen) < count:
        i, j = rng.integers(len(identities), size=2).tolist()
        shots = rng.integers(images, size=2).tolist()
        if i != j and genders[i] == genders[j]:
            low, high = sorted([(int(identities[i]), shots[0]), (int(identities[j]), shots[1])])
            chosen[low, high] = None
    return list(chosen)


QUALITY = 92  # of the JPEGs
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeldOut:
    """Unseen people of one split, by group."""

    split: str
    world: World
    pairs: int  # per group


def write_world(
    world: World,
    folder: str | Path,
    *,
    test_identities: int = 80,
    test_images: int = 6,
    validation_identities: int = 0,
    pairs: int = 600,
    force: bool = False,
    reuse: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Draws and writes everything; returns the path of ``world.json``.

    test_identities, validation_identities: unseen people per group, 0 for none, with
    ``test_images`` photographs each and no confounder.  pairs: per group and split, half of
    them genuine.  force: replaces a folder that an earlier call wrote.
    reuse: leaves a folder alone whose ``world.json`` says that it holds just this.
    progress: called with (photographs done, photographs in all).
    Raises UserError for an existing folder, too few people for the pairs, or no room; nothing
    half-written stays, and an old folder is replaced only by a complete new one.
    """
    folder = Path(folder)
    sets = [
        HeldOut(split, world.held_out(split, count, test_images), pairs)
        for split, count in (("validation", validation_identities), ("test", test_identities))
        if count
    ]
    summary = _summary(world, sets)
    if reuse and _holds(folder, summary):
        return folder / SUMMARY
    total = sum(w.identities * w.images for w in (world, *(s.world for s in sets)))
    count = _Counter(progress, total)
    plans = [(held_out, _plan(held_out)) for held_out in sets]
    with whole_folder(folder, force) as draft:
        write_insightface_record(
            draft,
            ((image, identity) for identity, _, image in count(world)),
            world.identities,
            FACE_SIZE,
        )
        group_table(world).write(draft / "groups.tsv")
        attribute_table(world).write(draft / "attributes.tsv")
        for held_out, plan in plans:
            images = {(i, j): image for i, j, image in count(held_out.world)}
            for name, (chosen, same) in plan.items():
                flat = [images[one] for pair in chosen for one in pair]
                write_bin(draft / f"{name}_{held_out.split}.bin", flat, same)
        (draft / "faces.jpg").write_bytes(encode(contact_sheet(world), quality=QUALITY))
        (draft / SUMMARY).write_text(summary)
    return folder / SUMMARY


def _holds(folder: Path, summary: str) -> bool:
    path = folder / SUMMARY
    return path.is_file() and path.read_text() == summary


class _Counter:
    """Encodes a world's photographs and reports how many are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, world: World) -> Iterator[tuple[int, int, bytes]]:
        for identity, shot, image in draw_people(world):
            yield identity, shot, encode(image, quality=QUALITY)
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)


def _plan(held_out: HeldOut) -> dict[str, tuple[list, list[bool]]]:
    """The pairs of every group that has people, by its name; drawn before anything is written."""
    world = held_out.world
    groups = groups_of(world)
    genders = np.array([draw_person(world, i).gender for i in range(world.identities)])
    plan = {}
    for group in np.unique(groups).tolist():
        members = np.flatnonzero(groups == group)
        plan[world.group_names[group]] = verification_pairs(
            members, genders[members], world.images, held_out.pairs, world.rng("pairs", group)
        )
    return plan


def _summary(world: World, sets: list[HeldOut]) -> str:
    content = {
        "world": asdict(world),
        "held_out": {
            s.split: {
                "identities_per_group": int((groups_of(s.world) == groups_of(s.world)[0]).sum()),
                "images": s.world.images,
                "pairs_per_group": s.pairs,
                "context_keep": s.world.loose_keep,
            }
            for s in sets
        },
        "versions": {
            "arcface_fair": arcface_fair.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }
    return json.dumps(content, indent=2) + "\n"

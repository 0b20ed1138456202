# SPDX-License-Identifier: MIT
"""Writes a drawn world to a folder that a training run can use, whole or not at all.

train.rec train.idx property   photographs, InsightFace layout
groups.tsv                     identity, name, race (the group), gender
attributes.tsv                 ground truth in words, to score partitions against
<group>_test.bin               pairs of unseen people (also <group>_validation.bin)
faces.jpg                      a contact sheet
world.json                     settings, seed and versions
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

import arcface_fair
from arcface_fair.data.image.images import FACE_SIZE, encode
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.data.sets.bins import write_bin
from arcface_fair.synthetic.draw import draw_people
from arcface_fair.synthetic.folder import SUMMARY, whole_folder
from arcface_fair.synthetic.pairs import verification_pairs
from arcface_fair.synthetic.sheet import contact_sheet
from arcface_fair.synthetic.tables import attribute_table, group_table
from arcface_fair.synthetic.traits import draw_person, groups_of
from arcface_fair.synthetic.world import World

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

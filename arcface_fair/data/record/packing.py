# SPDX-License-Identifier: MIT
"""Packs people's image files into a record with its group table; resumable, in parallel.

The same files and settings give the same bytes, whatever the number of workers and however
often the work was interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.record.pack_draft import PackDraft
from arcface_fair.data.record.parallel import ordered_map
from arcface_fair.data.record.rewrite import refuse_existing
from arcface_fair.data.record.sources import Person
from arcface_fair.errors import UserError

OUTPUTS = ("train.rec", "train.idx", "property", "groups.tsv", "skipped.tsv")
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Packed:
    """What was written.  skipped: images left out.  empty: names without an image of use."""

    images: int
    identities: int
    skipped: int
    empty: tuple[str, ...]
    resumed: int  # source images that an earlier, interrupted run had done


def pack_people(
    people: Sequence[Person],
    out: str | Path,
    crop: Crop,
    *,
    workers: int = 2,
    skip_bad: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Writes folder ``out``: train.rec, train.idx, property, groups.tsv, skipped.tsv if any.

    skip_bad: leaves out images of no use and people without any, and lists them, where the
    packing otherwise ends at the first.  progress: called with (source images done, in all).
    Raises UserError naming the file, for output that exists without ``force``, and for a full
    disk; then nothing is in its final place, and the same call goes on where this one stopped.
    """
    out = Path(out)
    refuse_existing(out, OUTPUTS, force)
    total, plan = _plan(people, crop, skip_bad)
    draft = PackDraft(out, plan)
    resumed = draft.position
    try:
        # A word that no table may hold is found now and not after hours.
        draft.write_groups(_group_table(people))
        for _ in _fill(draft, people, crop, workers, skip_bad):
            if progress is not None:
                progress(draft.position, total)
        if not draft.num_images:
            raise UserError(
                f"none of {total} images is of use ({draft.reasons[0][0]} {draft.reasons[0][1]}, "
                "...); correct the settings or the images"
            )
        draft.write_groups(_group_table([people[number] for number in draft.people]))
        draft.finish()
    finally:
        draft.close()
    present = set(draft.people)
    empty = tuple(p.name for number, p in enumerate(people) if number not in present)
    return Packed(draft.num_images, len(present), len(draft.reasons), empty, resumed)


def _fill(
    draft: PackDraft, people: Sequence[Person], crop: Crop, workers: int, skip_bad: bool
) -> Iterator[None]:
    """Takes up the images that are not in the draft yet, one a step."""
    stream = _from(people, draft.position)
    for person, path, face in ordered_map(lambda item: _face(item, crop), stream, workers):
        if not isinstance(face, BadImageError):
            draft.add(person, face)
        elif skip_bad:
            draft.leave_out(str(path), str(face).removeprefix(f"{path} ").split(";")[0])
        else:
            raise face
        yield


def _plan(people: Sequence[Person], crop: Crop, skip_bad: bool) -> tuple[int, str]:
    """The number of images, and a digest of all that decides about the record."""
    digest = hashlib.sha256()
    landmarks = None if crop.landmarks is None else crop.landmarks.points.tobytes()
    digest.update(repr((crop.resize, crop.quality, skip_bad, landmarks)).encode())
    total = 0
    for person in people:
        images = person.images()
        if not images and not skip_bad:
            raise UserError(
                f"identity folder {person.folder} holds no images; add some, remove it, or leave "
                "such folders out with --skip-bad"
            )
        total += len(images)
        for path in images:
            digest.update(repr((person.name, str(path), _stamp(path))).encode())
    return total, digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _from(people: Sequence[Person], position: int) -> Iterator[tuple[int, Path]]:
    """(person, image) from the ``position``-th image on; folders are listed when reached."""
    done = 0
    for number, person in enumerate(people):
        for path in person.images():
            if done >= position:
                yield number, path
            done += 1


def _face(item: tuple[int, Path], crop: Crop) -> tuple[int, Path, bytes | BadImageError]:
    number, path = item
    try:
        return number, path, crop.face(path)
    except BadImageError as error:
        return number, path, error


def _group_table(people: Sequence[Person]) -> GroupTable:
    """Names and the attributes that some source tells; without any, an empty column."""
    columns = sorted({column for person in people for column in person.attributes})
    words = {column: [p.attributes.get(column, "") for p in people] for column in columns}
    names = [_one_line(person.name) for person in people]
    return GroupTable.of_words(words or {"group": [""] * len(people)}, names)


def _one_line(name: str) -> str:
    """The name as a cell: no tabs or line breaks, bytes that are no UTF-8 spelled out."""
    return " ".join(name.encode("utf-8", "backslashreplace").decode().split())

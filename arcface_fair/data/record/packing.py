# SPDX-License-Identifier: MIT
"""Packs people's image files into a record with its group table; resumable, in parallel.

The same files and settings give the same bytes, whatever the number of workers and however
often the work was interrupted.

A record in the making: it can be left at any moment and gone on with.

``OUT/.pack/`` holds the record so far, a journal with a line per source image, and the plan: a
digest of source and settings. Journal lines are written after the bytes they speak of, so what
the journal says is there. The finished files get their names together at the end.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.record.parallel import ordered_map
from arcface_fair.data.record.recordio import RecordHeader, pack
from arcface_fair.data.record.rewrite import refuse_existing
from arcface_fair.data.record.sources import Person
from arcface_fair.data.record.writer import frame
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files

_EVERY = 1000  # source images between two entries into the journal


class PackDraft:
    """Where ``folder``'s record stands.

    plan: whatever decides about the result; a draft of another plan is thrown away.
    position: how many source images are done.  num_images: how many of them are in the record.
    people: their persons, in the order of the classes.  reasons: of what was left out, as
    (path, reason).
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self.folder, self._place = folder, folder / ".pack"
        self.position = self.num_images = 0
        self.people: list[int] = []
        self.reasons: list[tuple[str, str]] = []
        self._firsts, self._offsets = array("q"), array("q", [0])
        self._lines: list[str] = []
        self._size = 0
        self._broken = False
        try:
            self._open(plan)
        except OSError as error:
            raise self._full(error) from error

    def _open(self, plan: str) -> None:
        note = self._place / "plan"
        if not (note.is_file() and note.read_text() == plan):
            shutil.rmtree(self._place, ignore_errors=True)
            self._place.mkdir(parents=True)
            note.write_text(plan)
        self._rec = (self._place / "train.rec").open("ab")
        self._journal = (self._place / "journal").open(
            "a+", encoding="utf-8", errors="surrogateescape", newline="\n"
        )
        self._take_up()
        if not self._size:
            self._write(_ranges(0, 0, 0))

    def _take_up(self) -> None:
        """Goes back to the last image that journal and record agree on."""
        self._journal.seek(0)
        end = read = 0
        there = self._rec.seek(0, os.SEEK_END)
        for line in self._journal:
            cells = line.rstrip("\n").split("\t")
            if not line.endswith("\n") or (cells[0] == "+" and int(cells[2]) > there):
                break
            read += len(line.encode("utf-8", "surrogateescape"))
            if cells[0] == "+":
                end = int(cells[2])
                self._count(int(cells[1]), end)
            else:
                self.reasons.append((cells[1], cells[2]))
            self.position += 1
        self._journal.seek(read)
        self._journal.truncate()
        self._rec.truncate(end)
        self._rec.seek(end)
        self._size = end

    def _count(self, person: int, end: int) -> None:
        if not self.people or self.people[-1] != person:
            self.people.append(person)
            self._firsts.append(self.num_images + 1)
        self.num_images += 1
        # The first record's end is not in the journal, its size is always the same.
        if self.num_images == 1:
            self._offsets.append(len(_ranges(0, 0, 0)))
        self._offsets.append(end)

    def _write(self, framed: bytes) -> None:
        self._rec.write(framed)
        self._size += len(framed)

    def add(self, person: int, image: bytes) -> None:
        """The next source image's face; ``person`` must not fall."""
        identity = len(self.people) - (bool(self.people) and self.people[-1] == person)
        header = RecordHeader(0, float(identity), self.num_images + 1, 0)
        try:
            self._write(frame(pack(header, image)))
            self._count(person, self._size)
            self._note(f"+\t{person}\t{self._size}\n")
        except OSError as error:
            raise self._full(error) from error

    def leave_out(self, path: str, reason: str) -> None:
        """The next source image is corrupt."""
        path, reason = (" ".join(text.split()) for text in (path, reason))
        self.reasons.append((path, reason))
        self._note(f"-\t{path}\t{reason}\n")

    def _note(self, line: str) -> None:
        self._lines.append(line)
        self.position += 1
        if len(self._lines) >= _EVERY:
            self.save()

    def save(self) -> None:
        """Makes all that was added last, also through the end of this process."""
        try:
            self._rec.flush()
            self._journal.writelines(self._lines)
            self._journal.flush()
        except OSError as error:
            raise self._full(error) from error
        self._lines.clear()

    def write_groups(self, table: GroupTable) -> None:
        """Keeps the group table for `finish`. Raises UserError if it is none that can be read."""
        table.write(self._place / "groups.tsv")

    def finish(self) -> None:
        """Writes ranges, index, property and skipped.tsv, and gives all files their names."""
        self.save()
        ends = [*self._firsts[1:], self.num_images + 1]
        try:
            starts = self._offsets[:-1].tolist()
            for key, bounds in enumerate(
                zip(self._firsts, ends, strict=True), start=self.num_images + 1
            ):
                starts.append(self._size)
                self._write(_ranges(key, *bounds))
            self._rec.close()
            with (self._place / "train.rec").open("r+b") as rec:
                rec.write(_ranges(0, self.num_images + 1, self.num_images + 1 + len(self.people)))
                rec.flush()
                os.fsync(rec.fileno())
            self._publish(starts)
        except OSError as error:
            raise self._full(error) from error
        self._journal.close()
        shutil.rmtree(self._place)

    def _publish(self, starts: list[int]) -> None:
        places = (self.folder / name for name in ("train.idx", "property", "skipped.tsv"))
        with atomic_files(*places) as (index, prop, skipped):
            index.writelines(b"%d\t%d\n" % entry for entry in enumerate(starts))
            prop.write(b"%d,112,112\n" % len(self.people))
            skipped.write(b"path\treason\n")
            skipped.writelines(
                f"{path}\t{why}\n".encode("utf-8", "surrogateescape") for path, why in self.reasons
            )
            for name in ("train.rec", "groups.tsv"):
                os.replace(self._place / name, self.folder / name)
        if not self.reasons:
            (self.folder / "skipped.tsv").unlink()

    def close(self) -> None:
        """Saves and lets go of the files; what is done stays to be gone on with."""
        if not self._rec.closed and not self._broken:
            self.save()
        # What does not fit any more was not promised by the journal either.
        for file in (self._rec, self._journal):
            with suppress(OSError):
                file.close()

    def _full(self, error: OSError) -> UserError:
        self._broken = True
        return UserError(
            f"{self.folder} cannot be written ({error.strerror or error}); make room or choose "
            "another folder, the same command goes on where it stopped"
        )


def _ranges(key: int, first: int, end: int) -> bytes:
    return frame(pack(RecordHeader(2, np.array([first, end], "<f4"), key, 0), b""))


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

    skip_bad: leaves out corrupt images and identities without any other, and lists them, where the
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

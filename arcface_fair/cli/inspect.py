# SPDX-License-Identifier: MIT
"""``arcface-fair inspect REC``: what a record holds and what is wrong with it; clean copies.

Draws a few people of every group in rows, each image as a network would see it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from arcface_fair.data.groups import Attribute
from arcface_fair.data.image.images import FACE_SIZE, decode
from arcface_fair.data.record.recordio import unpack
from arcface_fair.data.record.report import RecordReport
from arcface_fair.data.record.scan import RecordFile

if TYPE_CHECKING:
    from arcface_fair.data.groups import Attribute, GroupTable
    from arcface_fair.data.record.report import RecordReport

_TITLE = 20  # height in pixels of a line of text
_GAP = 2


def choose(report: RecordReport, groups: Attribute | None, people: int) -> list[tuple[str, int]]:
    """(group, identity), up to ``people`` of each group, evenly spread over its identities."""
    present = np.flatnonzero(report.counts())
    chosen: list[tuple[str, int]] = []
    if groups is None:
        sets: list[tuple[str, np.ndarray]] = [("", present)]
    else:
        codes = np.append(groups.codes, -1)[np.minimum(present, len(groups.codes))]
        named = [*enumerate(groups.names), (-1, "unknown")]
        sets = [(name, present[codes == code]) for code, name in named]
    for name, members in sets:
        places = np.linspace(0, len(members) - 1, min(people, len(members)))
        chosen += [(name, int(members[int(position)])) for position in places]
    return chosen


def draw_sheet(
    report: RecordReport, groups: Attribute | None = None, *, people: int = 3, shots: int = 8
) -> np.ndarray:
    """uint8 RGB [rows, columns, 3]: per row up to ``shots`` images of one identity, with a title.

    groups: the attribute to show people of; None takes them from the whole record.
    """
    rows: list[np.ndarray] = []
    with RecordFile(report.path) as file:
        for group, identity in choose(report, groups, people):
            own = report.offsets[report.labels == identity]
            picked = own[np.unique(np.linspace(0, len(own) - 1, min(shots, len(own))).astype(int))]
            images = [decode(unpack(file.read(int(o)))[1], "an image") for o in picked]
            title = f"{identity}" + (f"  {group}" if group else "") + f"  {len(own)} images"
            rows.append(row_of(title, images, shots))
    return np.vstack(rows)


def row_of(title: str, images: Sequence[np.ndarray], across: int) -> np.ndarray:
    """A line of text above up to ``across`` images, each made to fit a square of 112 pixels."""
    height, width = _TITLE + FACE_SIZE + _GAP, across * (FACE_SIZE + _GAP)
    row = np.full((height, width, 3), 255, np.uint8)
    # The fonts of OpenCV know ASCII only; another letter becomes a question mark.
    text = title.encode("ascii", "replace").decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(row, text, (3, _TITLE - 6), font, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    for position, image in enumerate(images[:across]):
        scale = FACE_SIZE / max(image.shape[:2])
        size = [max(1, round(edge * scale)) for edge in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale != 1 else image
        left = position * (FACE_SIZE + _GAP)
        row[_TITLE : _TITLE + small.shape[0], left : left + small.shape[1]] = small
    return row


HELP = "look through a record: identities, images, sizes, groups, faults; write a clean copy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The record, how closely to look, and what to write."""
    parser.add_argument("record", type=Path, help="folder with train.rec, or a .rec file")
    parser.add_argument(
        "--decode", action="store_true", help="decode every image, not only its first bytes"
    )
    parser.add_argument("--workers", type=int, default=2, help="threads that decode (default 2)")
    parser.add_argument("--sheet", type=Path, metavar="JPG", help="draw a contact sheet")
    parser.add_argument("--attribute", help="column of groups.tsv to draw the sheet by")
    parser.add_argument(
        "--repair", type=Path, metavar="OUT", help="write what is of use to a new folder"
    )
    parser.add_argument(
        "--rebuild-index", action="store_true", help="write the lost .idx of a sound record"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Prints the report; exit code 1 if something is wrong with the record and stays so."""
    from tqdm import tqdm

    from arcface_fair.data.record.report import inspect_record, words
    from arcface_fair.data.record.rewrite import read_groups_beside, refuse_existing
    from arcface_fair.errors import UserError

    if args.workers < 1:
        raise UserError(f"--workers is {args.workers}; it must be at least 1")
    if args.sheet:
        refuse_existing(args.sheet.parent, [args.sheet.name], args.force)
    path = args.record / "train.rec" if args.record.is_dir() else args.record
    if args.rebuild_index:
        rebuild(path, args.force)
    size = path.stat().st_size if path.exists() else 0
    with tqdm(total=size, desc="reading", unit="B", unit_scale=True, delay=0.5) as bar:
        # A repaired copy must hold nothing that a reader stumbles over.
        decode = args.decode or args.repair is not None
        report = inspect_record(
            path, decode_images=decode, workers=args.workers, progress=bar.update
        )
    print("\n".join(words(report)))
    table = read_groups_beside(path, num_classes(report))
    if table is not None:
        print_groups(table, report)
    if args.sheet:
        attribute = args.attribute or (next(iter(table.attributes)) if table else None)
        if attribute and table is None:
            raise UserError(
                f"--attribute is {attribute!r} but there is no groups.tsv beside {path}"
            )
        draw(report, args.sheet, table[attribute] if table and attribute else None)
    if args.repair:
        repair(report, args.repair, args.force)
        return 0
    return 0 if report.sound else 1


def num_classes(report: RecordReport) -> int:
    """What the record announces, or the highest label plus one."""
    return max(len(report.counts()), (report.announced or (0, 0))[1])


def rebuild(path: Path, force: bool) -> None:
    """Writes the index beside the record."""
    from tqdm import tqdm

    from arcface_fair.data.record.report import rebuild_index
    from arcface_fair.data.record.rewrite import refuse_existing

    index = path.with_suffix(".idx")
    refuse_existing(index.parent, [index.name], force)
    with tqdm(desc="indexing", unit="B", unit_scale=True, delay=0.5) as bar:
        count = rebuild_index(path, index, bar.update)
    print(f"wrote {index} ({count} records)")


def print_groups(table: GroupTable, report: RecordReport) -> None:
    """Identities and images of every group."""
    import numpy as np

    counts = report.counts()
    images = np.zeros(num_classes(report), np.int64)
    images[: len(counts)] = counts
    for name, attribute in table.attributes.items():
        parts = []
        for code, word in [*enumerate(attribute.names), (-1, "unknown")]:
            own = attribute.codes == code
            if own.any():
                parts.append(f"{word} {own.sum()} ({images[own].sum()} images)")
        print(f"groups:      {name}: " + ", ".join(parts))


def draw(report: RecordReport, path: Path, groups: Attribute | None) -> None:
    """Writes the contact sheet."""
    from arcface_fair.cli.inspect import draw_sheet
    from arcface_fair.data.image.images import encode
    from arcface_fair.errors import UserError
    from arcface_fair.files import atomic_files

    if not len(report.labels):
        raise UserError(f"{report.path} holds no image of use; there is nothing to draw")
    sheet = encode(draw_sheet(report, groups), quality=92)
    with atomic_files(path) as (file,):
        file.write(sheet)
    print(f"wrote {path}")


def repair(report: RecordReport, out: Path, force: bool) -> None:
    """Writes the clean copy."""
    from tqdm import tqdm

    from arcface_fair.data.record.rewrite import rewrite_record

    with tqdm(total=len(report.labels), desc="writing", unit=" images", delay=0.5) as bar:
        images, identities = rewrite_record(report, out, force=force, progress=bar.update)
    print(f"wrote {out} ({images} images of {identities} identities; renumbered.tsv says which)")

# SPDX-License-Identifier: MIT
"""``arcface-fair exclude REC OUT --names LIST``: a training record without a test's people."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "drop the identities of a test list from a training record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The record, where the rest goes, and who is left out."""
    parser.add_argument("record", type=Path, help="folder with train.rec")
    parser.add_argument("out", type=Path, help="folder for the record without them")
    parser.add_argument(
        "--names",
        type=Path,
        nargs="+",
        default=[],
        help="lists of names, one a line (RFW's *_people.txt); the record's own are the column "
        "'name' of its groups.tsv",
    )
    parser.add_argument("--class-names", type=Path, help="the record's names, line n for class n")
    parser.add_argument("--classes", type=int, nargs="+", default=[], help="class indices to drop")
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> None:
    """Says how many go, and writes the rest."""
    from tqdm import tqdm

    from arcface_fair.cli.inspect import num_classes
    from arcface_fair.data.record.overlap import overlapping
    from arcface_fair.data.record.report import inspect_record
    from arcface_fair.data.record.rewrite import OUTPUTS, refuse_existing, rewrite_record
    from arcface_fair.errors import UserError

    if not (args.names or args.classes):
        raise UserError("nobody is named to leave out; give --names LIST or --classes N")
    refuse_existing(args.out, OUTPUTS, args.force)
    path = args.record / "train.rec" if args.record.is_dir() else args.record
    with tqdm(desc="reading", unit="B", unit_scale=True, delay=0.5) as bar:
        report = inspect_record(path, progress=bar.update)
    classes = num_classes(report)
    outside = [number for number in args.classes if not 0 <= number < classes]
    if outside:
        raise UserError(
            f"--classes names {outside[0]}, the record has 0..{classes - 1}; correct the number"
        )
    drop = set(args.classes)
    if args.names:
        drop |= set(overlapping(class_names(path, classes, args.class_names), args.names))
    with tqdm(desc="writing", unit=" images", delay=0.5) as bar:
        images, identities = rewrite_record(
            report, args.out, drop=drop, force=args.force, progress=bar.update
        )
    print(
        f"dropped {len(drop)} of {classes} identities; wrote {args.out} "
        f"({images} images of {identities}; set num_classes = {identities}, num_image = {images})"
    )


def class_names(path: Path, classes: int, listed: Path | None) -> list[str]:
    """The names of the record's classes. Raises UserError where there are none."""
    from arcface_fair.data.record.rewrite import read_groups_beside
    from arcface_fair.errors import UserError

    if listed is not None:
        try:
            names = listed.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise UserError(
                f"name list {listed} cannot be read ({error.strerror}); correct the path"
            ) from error
        if len(names) != classes:
            raise UserError(
                f"{listed} has {len(names)} lines but the record has {classes} classes; "
                "give one name a line, in the order of the classes"
            )
        return names
    table = read_groups_beside(path, classes)
    if table is None or table.class_names is None:
        raise UserError(
            f"the classes of {path} have no names (no column 'name' in a groups.tsv beside it); "
            "give --class-names LIST, or drop by number with --classes"
        )
    return list(table.class_names)

# SPDX-License-Identifier: MIT
"""``arcface-fair pack SRC OUT``: image folders or lists into a training record with groups."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arcface_fair.data.image.crop import Crop
    from arcface_fair.data.record.packing import Packed
    from arcface_fair.data.record.sources import Person

HELP = "pack image folders or a list into train.rec, train.idx, property and groups.tsv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The source, the folder, and how faces are made."""
    parser.add_argument(
        "source",
        type=Path,
        help="folder identity/image or group/identity/image, or a table with columns path, "
        "identity, and attributes",
    )
    parser.add_argument("out", type=Path, help="folder for the record")
    parser.add_argument(
        "--landmarks",
        type=Path,
        nargs="+",
        help="align by these lists: a line PATH [LABEL] x1 y1 ... x5 y5 each",
    )
    parser.add_argument(
        "--resize", action="store_true", help="bring aligned square images to 112 x 112"
    )
    parser.add_argument("--quality", type=int, default=95, help="of JPEGs, 1..100 (default 95)")
    parser.add_argument("--png", action="store_true", help="write lossless PNG where re-encoded")
    parser.add_argument(
        "--group-column", default="race", help="attribute that outer folders name (default race)"
    )
    parser.add_argument(
        "--duplicates",
        choices=("refuse", "separate", "drop"),
        default="refuse",
        help="what to do with identities of one name (default refuse)",
    )
    parser.add_argument(
        "--exclude", type=Path, nargs="+", default=[], help="lists of names to leave out"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out corrupt images and list them"
    )
    parser.add_argument("--workers", type=int, default=2, help="threads (default 2)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> None:
    """Packs with a progress bar; interrupted, the same command goes on where it stopped."""
    from arcface_fair.data.image.crop import Crop
    from arcface_fair.data.image.landmarks import Landmarks
    from arcface_fair.data.record.packing import OUTPUTS
    from arcface_fair.data.record.rewrite import refuse_existing
    from arcface_fair.errors import UserError

    if args.workers < 1 or not 1 <= args.quality <= 100:
        raise UserError(
            f"--workers is {args.workers} and --quality {args.quality}; expected at least 1, "
            "and 1..100"
        )
    refuse_existing(args.out, OUTPUTS, args.force)
    people = read_people(args)
    crop = Crop(
        Landmarks(*args.landmarks) if args.landmarks else None,
        args.resize,
        None if args.png else args.quality,
    )
    packed = pack(people, crop, args)
    if packed.resumed:
        print(f"went on after {packed.resumed} images that were packed before")
    if packed.skipped or packed.empty:
        print(
            f"left out {packed.skipped} images (skipped.tsv) and {len(packed.empty)} identities "
            "without any"
        )
    print(
        f"wrote {args.out} (num_classes = {packed.identities}, num_image = {packed.images}); "
        f"look at it with `arcface-fair inspect {args.out} --sheet faces.jpg`"
    )


def read_people(args: argparse.Namespace) -> list[Person]:
    """Who is packed: the source's people without those that a list names."""
    from arcface_fair.data.record.overlap import overlapping
    from arcface_fair.data.record.sources import open_source, settle_duplicates
    from arcface_fair.errors import UserError

    people = open_source(args.source, args.group_column)
    if args.exclude:
        named = set(overlapping([person.name for person in people], args.exclude))
        people = [person for number, person in enumerate(people) if number not in named]
        print(f"left out {len(named)} identities that the lists name")
        if not people:
            raise UserError("the lists of --exclude name every identity; nothing is left to pack")
    return settle_duplicates(people, args.duplicates)


def pack(people: list[Person], crop: Crop, args: argparse.Namespace) -> Packed:
    """The packing under its progress bar."""
    from tqdm import tqdm

    from arcface_fair.data.record.packing import pack_people

    with tqdm(desc="packing", unit=" images", delay=0.5, mininterval=0.5) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            if bar.n == 0 and done > 1:
                # What an earlier run did shall not count into the speed.
                bar.initial = bar.n = done - 1
            bar.update(done - bar.n)

        return pack_people(
            people,
            args.out,
            crop,
            workers=args.workers,
            skip_bad=args.skip_bad,
            force=args.force,
            progress=progress,
        )

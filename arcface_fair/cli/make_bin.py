# SPDX-License-Identifier: MIT
"""``arcface-fair make-bin KIND SRC OUT``: verification sets from what the authors hand out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arcface_fair.data.sets.pair_sets import PairSet

HELP = "make verification sets (.bin) from RFW, CelebA, DigiFace or a table of pairs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it is, where it lies, where the sets go."""
    parser.add_argument("kind", choices=("rfw", "celeba", "digiface", "pairs"))
    parser.add_argument(
        "source", type=Path, help="the data set's folder, or the table (left, right, same, group)"
    )
    parser.add_argument("out", type=Path, help="folder for the .bin files")
    parser.add_argument(
        "--names",
        choices=("rfw", "test"),
        default="rfw",
        help="of RFW's sets: rfw_african (default) or African_test",
    )
    parser.add_argument(
        "--attributes", nargs="+", default=[], help="of CelebA; default all 40, present and absent"
    )
    parser.add_argument(
        "--identities", type=int, default=1000, help="the first so many of DigiFace (default 1000)"
    )
    parser.add_argument(
        "--pairs", type=int, default=6000, help="per set, for CelebA and DigiFace (default 6000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawn pairs (default 0)")
    parser.add_argument("--images", type=Path, help="folder that the table's paths begin in")
    parser.add_argument(
        "--landmarks", type=Path, nargs="+", help="align the table's images by these lists"
    )
    parser.add_argument("--resize", action="store_true", help="bring square images to 112 x 112")
    parser.add_argument("--skip-bad", action="store_true", help="leave out pairs with a bad image")
    parser.add_argument(
        "--skip-existing", action="store_true", help="go on after an interrupt: keep whole sets"
    )
    parser.add_argument("--workers", type=int, default=2, help="threads (default 2)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> None:
    """Makes the sets one after the other; each is read back before it gets its name."""
    from tqdm import tqdm

    from arcface_fair.data.record.rewrite import refuse_existing
    from arcface_fair.data.sets.pair_sets import build_set
    from arcface_fair.errors import UserError

    if args.workers < 1:
        raise UserError(f"--workers is {args.workers}; it must be at least 1")
    sets = read_sets(args)
    if not sets:
        raise UserError(f"no set of {args.source} can make 20 pairs; name other attributes")
    if args.skip_existing:
        sets = [one for one in sets if not (args.out / f"{one.name}.bin").exists()]
    refuse_existing(args.out, [f"{one.name}.bin" for one in sets], args.force)
    for one in sets:
        total = len({*one.left, *one.right})
        with tqdm(total=total, desc=one.name, unit=" images", leave=False, delay=0.5) as bar:
            built = build_set(
                one,
                args.out,
                workers=args.workers,
                skip_bad=args.skip_bad,
                progress=bar.update,
            )
        print(f"wrote {built}")
        if built.residual is not None and built.residual > 10:
            print(
                "  the landmarks are far from the template: are they in the order eye, eye, nose, "
                "mouth, mouth, from the left of the picture?"
            )


def read_sets(args: argparse.Namespace) -> list[PairSet]:
    """The pairs, by kind."""
    from arcface_fair.data.image.crop import Crop
    from arcface_fair.data.image.landmarks import Landmarks
    from arcface_fair.data.sets.celeba import celeba_sets
    from arcface_fair.data.sets.pair_sets import digiface_set, listed_sets
    from arcface_fair.data.sets.rfw import rfw_sets

    if args.kind == "rfw":
        return rfw_sets(args.source, args.names)
    if args.kind == "celeba":
        return celeba_sets(args.source, args.attributes, args.pairs, args.seed)
    landmarks = Landmarks(*args.landmarks) if args.landmarks else None
    crop = Crop(landmarks, args.resize)
    if args.kind == "digiface":
        return [digiface_set(args.source, crop, args.identities, args.pairs, args.seed)]
    return listed_sets(args.source, args.images, crop)

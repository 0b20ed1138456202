# SPDX-License-Identifier: MIT
"""``arcface-fair synthesize FOLDER``: draws faces with a planted confounder, ready to train on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drawn_faces import World

HELP = "draw faces with a planted confounder: record, group table, ground truth, test sets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The world by name, what may differ from it, and the folder."""
    parser.add_argument("folder", help="new folder for train.rec, groups.tsv, *_test.bin, ...")
    parser.add_argument(
        "--world",
        default="confounded",
        help="confounded (default), control (same people, nothing planted), weak, weaker, "
        "glasses, makeup, scattered (stickers in changing places), alike (all groups), "
        "minority_small, minority_large",
    )
    parser.add_argument("--seed", type=int, help="people, context and camera (default 0)")
    parser.add_argument("--identities", type=int, help="people to train on (default 320)")
    parser.add_argument("--images", type=int, help="photographs of each (default 8)")
    parser.add_argument("--pose", type=float, help="0 frontal .. 1 up to 30 degrees (default 0.7)")
    parser.add_argument(
        "--test-identities", type=int, default=80, help="unseen people per group (default 80)"
    )
    parser.add_argument(
        "--validation-identities", type=int, default=0, help="more of them, to choose settings by"
    )
    parser.add_argument(
        "--test-images", type=int, default=6, help="photographs of each unseen person (default 6)"
    )
    parser.add_argument("--pairs", type=int, default=600, help="pairs per group (default 600)")
    parser.add_argument("--force", action="store_true", help="replace a world drawn earlier")


def run(args: argparse.Namespace) -> None:
    """Draws with a progress bar and says what was written where."""
    from dataclasses import replace

    from arcface_fair.errors import UserError
    from drawn_faces import WORLDS

    if args.world not in WORLDS:
        raise UserError(
            f"there is no world named {args.world!r}; known: {', '.join(WORLDS)}; "
            "name one of these with --world"
        )
    changes = {name: getattr(args, name) for name in ("seed", "identities", "images", "pose")}
    world = replace(WORLDS[args.world], **{k: v for k, v in changes.items() if v is not None})
    folder = _draw(
        world,
        args.folder,
        test_identities=args.test_identities,
        test_images=args.test_images,
        validation_identities=args.validation_identities,
        pairs=args.pairs,
        force=args.force,
    )
    unseen = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "none"
    print(
        f"record:       {folder / 'train.rec'} ({world.identities} people, {world.images} each)\n"
        f"groups:       {folder / 'groups.tsv'}\n"
        f"ground truth: {folder / 'attributes.tsv'}\n"
        f"unseen:       {unseen}\n"
        f"to look at:   {folder / 'faces.jpg'}\n"
        f"settings:     {folder / 'world.json'}"
    )


def draw_world(world: World, folder: str | Path, **settings: Any) -> Path:
    """Draws ``world`` with a progress bar unless it lies in ``folder`` already; the folder.

    settings: those of ``write_world``.  A world of other settings in its place is replaced, any
    other folder refused (UserError).
    """
    return _draw(world, folder, force=True, reuse=True, **settings)


def _draw(world: World, folder: str | Path, **settings: Any) -> Path:
    from tqdm import tqdm

    from drawn_faces import write_world

    with tqdm(desc="drawing", unit=" faces", mininterval=0.5, delay=0.2) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return write_world(world, folder, progress=progress, **settings).parent

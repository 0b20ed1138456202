# SPDX-License-Identifier: MIT
"""``arcface-fair groups vote|merge``: the table from identity to group, from labels or tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_fair.data.groups import GroupTable, join, rename, vote, write_shares
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.rewrite import refuse_existing
from arcface_fair.errors import UserError

HELP = "make groups.tsv: majority vote of per-image labels, tables joined, words merged"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, with which tables, for which record."""
    parser.add_argument("action", choices=("vote", "merge"))
    parser.add_argument("record", type=Path, help="folder with the train.rec that it is for")
    parser.add_argument("tables", type=Path, nargs="+", help="labels per image, or group tables")
    parser.add_argument("--out", type=Path, required=True, help="the group table to write")
    parser.add_argument(
        "--min-share", type=float, default=0.5, help="vote: of a majority, 0..1 (default 0.5)"
    )
    parser.add_argument(
        "--map",
        nargs="+",
        default=[],
        metavar="ATTRIBUTE:OLD=NEW",
        help="replace a word, so that groups merge; nothing after = makes it unknown",
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> None:
    """Writes the table, and for a vote the shares beside it (OUT.shares.tsv)."""
    shares_path = args.out.with_suffix(".shares.tsv")
    outputs = [args.out.name, *([shares_path.name] if args.action == "vote" else [])]
    refuse_existing(args.out.parent, outputs, args.force)
    changes = [change(text) for text in args.map]
    record = RecordDataset(args.record)
    count = record.num_classes
    if args.action == "vote":
        if len(args.tables) != 1:
            raise UserError(f"{len(args.tables)} label tables are given; a vote takes one")
        keys = dict(zip(map(int, record.keys), record.identities.tolist(), strict=True))
        names = names_beside(args.record, count)
        table, shares, images = vote(
            args.tables[0],
            count,
            class_names=names,
            identities=keys,
            min_share=args.min_share,
        )
    else:
        table = join([read(path, count) for path in args.tables])
    for attribute, old, new in changes:
        table = rename(table, attribute, {old: new})
    table.write(args.out)
    print(f"wrote {args.out}")
    if args.action == "vote":
        write_shares(shares_path, table, shares, images)
        print(f"wrote {shares_path} (how many images agreed)")
    describe(table)


def change(text: str) -> tuple[str, str, str]:
    """Attribute, old and new word of one --map."""
    attribute, colon, rest = text.partition(":")
    old, equals, new = rest.partition("=")
    if not (attribute and colon and old and equals):
        raise UserError(f"--map {text!r} is not ATTRIBUTE:OLD=NEW; write race:Latino=Caucasian")
    return attribute, old, new


def read(path: Path, num_classes: int) -> GroupTable:
    """One group table."""
    return GroupTable.read(path, num_classes)


def names_beside(folder: Path, num_classes: int) -> tuple[str, ...] | None:
    """The classes' names in the record's own table, if it has any."""
    path = folder / "groups.tsv"
    return read(path, num_classes).class_names if path.exists() else None


def describe(table: GroupTable) -> None:
    """How many identities each group has."""
    for name, attribute in table.attributes.items():
        words = attribute.words()
        counts = ", ".join(
            f"{word or 'unknown'} {words.count(word)}" for word in sorted(set(words))
        )
        print(f"{name}: {counts}")

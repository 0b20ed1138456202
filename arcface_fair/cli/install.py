# SPDX-License-Identifier: MIT
"""``arcface-fair install DIR``: makes arcface_torch run today and call the plugins."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

HELP = "patch InsightFace's arcface_torch so that its trainer calls the plugins"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One folder, at most one mode, and which patches."""
    parser.add_argument(
        "folder", type=Path, nargs="?", help="arcface_torch, or the root of InsightFace"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--diff", action="store_true", help="print the changes, write nothing")
    mode.add_argument("--check", action="store_true", help="say what is installed; exit 1 if stale")
    mode.add_argument("--undo", action="store_true", help="restore the files byte for byte")
    mode.add_argument("--list", action="store_true", help="list the patches")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="install this patch (repeat)"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave this patch out"
    )


def run(args: argparse.Namespace) -> int | None:
    """Does what the mode says; without one, installs."""
    from arcface_fair.cli._patching import installer
    from arcface_fair.errors import UserError

    tools = installer()
    if args.list:
        for patch in tools.PATCHES:
            print(f"{patch.NAME:14}{patch.FILE:34}{patch.DESCRIPTION}")
        return 0
    if args.folder is None:
        raise UserError("no folder was given; arcface-fair install path/to/arcface_torch")
    home = tools.find_home(args.folder)
    if args.check:
        current, sentence = tools.status(home)
        print(sentence)
        return 0 if current else 1
    if args.undo:
        kept = tools.undo(home)
        print(f"{home}: every file is as it was before the install")
        for name in kept:
            print(f"kept {name}, which was edited since")
        return 0
    return _install(tools, home, args)


def _install(tools: ModuleType, home: Path, args: argparse.Namespace) -> int:
    from arcface_fair.config import shipped_configs

    if not args.diff and tools.recover(home):
        print(f"{home}: an interrupted install was rolled back")
    plan = tools.make_plan(home, tools.chosen(args.only, args.without), shipped_configs())
    if args.diff:
        print(plan.diff(), end="")
        return 0
    if not tools.apply(plan):
        print(f"{home}: installed and current already; nothing was changed")
        return 0
    print(f"{home}: installed {', '.join(plan.patches)}")
    for name in plan.configs:
        print(f"wrote {name}")
    print(f"take it back with: arcface-fair install {args.folder} --undo")
    return 0

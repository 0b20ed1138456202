# SPDX-License-Identifier: MIT
"""``arcface-fair train CONFIG``: one run of the embedded trainer."""

from __future__ import annotations

import argparse
import os

HELP = "train a run described by a config file, on CPU or GPU"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run is the config's business; the command line chooses file, folder and resuming."""
    parser.add_argument("config", help="configs/NAME, a shipped NAME, or the path of a .py file")
    parser.add_argument("--output", help="folder of the run, instead of the config's")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument(
        "--init-backbone",
        metavar="FILE",
        help="start the backbone from released weights (.pt, or .onnx where it can be mapped)",
    )


def run(args: argparse.Namespace) -> None:
    """Trains and says what was written where."""
    from arcface_fair.config import load_config
    from arcface_fair.hosts.embedded import train

    overrides: dict[str, object] = {}
    if args.output is not None:
        overrides["output"] = args.output
    if args.resume:
        overrides["resume"] = True
    if args.init_backbone is not None:
        overrides["init_backbone"] = args.init_backbone
    folder = train(load_config(args.config, overrides))
    if os.environ.get("RANK", "0") == "0":
        print(f"model: {folder / 'model.pt'}\nlog:   {folder / 'training.log'}")

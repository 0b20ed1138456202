# SPDX-License-Identifier: MIT
"""``arcface-fair train CONFIG``: one run of the embedded trainer."""

from __future__ import annotations

import argparse
import os

from easydict import EasyDict

HELP = "train a run described by a config file, on CPU or GPU"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run is the config's business; the command line chooses file, folder and resuming."""
    parser.add_argument("config", help="configs/NAME, a shipped NAME, or the path of a .py file")
    parser.add_argument("--output", help="folder of the run, instead of the config's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the config, or NAME.KEY of a plugin's block; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument(
        "--init-backbone",
        metavar="FILE",
        help="start the backbone from released weights (.pt, or .onnx where it can be mapped)",
    )


def config_of(args: argparse.Namespace) -> EasyDict:
    """The run's config: the file, then the options, then the lines of ``--set``."""
    from arcface_fair.config import load_config
    from arcface_fair.hosts.settings import with_set_lines

    overrides: dict[str, object] = {}
    if args.output is not None:
        overrides["output"] = args.output
    if args.resume:
        overrides["resume"] = True
    if args.init_backbone is not None:
        overrides["init_backbone"] = args.init_backbone
    return EasyDict(with_set_lines(load_config(args.config, overrides), args.set))


def run(args: argparse.Namespace) -> None:
    """Trains and says what was written where."""
    from arcface_fair.config import modules_beside
    from arcface_fair.hosts.embedded import train

    # For the whole run: a plugin may import late, and the loader's workers take our sys.path.
    with modules_beside(args.config):
        folder = train(config_of(args))
    if os.environ.get("RANK", "0") == "0":
        print(f"model: {folder / 'model.pt'}\nlog:   {folder / 'training.log'}")

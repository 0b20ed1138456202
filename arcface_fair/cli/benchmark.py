# SPDX-License-Identifier: MIT
"""``arcface-fair benchmark``: `studies` of the checkout; an installed package does not carry it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import arcface_fair
from arcface_fair.errors import UserError

HELP = "train every method beside its controls on drawn people: paired tables, JSON, a page"


def _command() -> ModuleType | None:
    """The studies' own command, where the package lies in a checkout."""
    root = Path(arcface_fair.__file__).parents[1]
    if not (root / "studies" / "__main__.py").is_file():
        return None
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module("studies.command")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m studies``; the command ends here where there are none."""
    command = _command()
    if command is None:
        raise UserError(
            "the benchmark is not part of the installed package: clone the repository of "
            "arcface-fair and run `python -m studies` (or `make study`) in it"
        )
    command.add_arguments(parser)
    parser.set_defaults(studies=command.run)


def run(args: argparse.Namespace) -> int | None:
    """Runs the studies."""
    return args.studies(args)

# SPDX-License-Identifier: MIT
"""The command ``arcface-fair``: one file per sub-command, found by listing this folder.

A sub-command's module offers ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args)``,
which returns an exit code or None for 0. What a user can put right (`UserError`) ends in one
sentence and exit code 2; an interrupt in exit code 130.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType

import arcface_fair
from arcface_fair.errors import UserError


def commands() -> dict[str, ModuleType]:
    """The sub-commands by name. Their heavy imports happen inside ``run``."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {
        name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}")
        for name in names
        if not name.startswith("_")
    }


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="arcface-fair",
        description="Mitigate and measure demographic bias in face recognition training.",
    )
    parser.add_argument("--version", action="version", version=arcface_fair.__version__)
    parsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module in commands().items():
        sub = parsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    args = build_parser().parse_args(arguments)
    try:
        return args.run(args) or 0
    except UserError as error:
        print(f"arcface-fair: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("arcface-fair: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`); keep the interpreter from saying so twice.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1

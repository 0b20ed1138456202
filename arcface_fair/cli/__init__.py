# SPDX-License-Identifier: MIT
"""The command ``arcface-fair``: one file per sub-command, of this folder or of another package.

Other packages announce theirs as entry points of the group ``arcface_fair.commands``. Only the
chosen one is imported. Its module offers ``HELP`` (one line), ``add_arguments(parser)``
and ``run(args)``, which returns an exit code or None for 0. What a user can put right (`UserError`)
ends in one sentence and exit code 2; an interrupt in exit code 130.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import arcface_fair
from arcface_fair.errors import UserError, print_sentence


def commands() -> dict[str, str]:
    """The sub-commands and their one line of help each, without importing any of them."""
    return {name: _help(module) for name, module in sorted(_modules().items())}


def _modules() -> dict[str, str]:
    """Sub-command -> its module. Raises UserError where two modules offer one command."""
    modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    modules += [point.value for point in entry_points(group="arcface_fair.commands")]
    found: dict[str, str] = {}
    for module in dict.fromkeys(modules):
        name = module.rpartition(".")[2]
        if name.startswith("_"):
            continue
        other = found.setdefault(name.replace("_", "-"), module)
        if other != module:
            raise UserError(
                f"{other} and {module} both offer the command {name!r}, expected one of them; "
                "uninstall the package that you do not need"
            )
    return found


def _help(module: str) -> str:
    """The line ``HELP``, read from the source, because what a command imports takes seconds.

    Raises UserError for an announced module that is not there or has no such line.
    """
    package, _, below = module.partition(".")
    spec = importlib.util.find_spec(package)  # without a dot it imports nothing
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for folder in folders:
        path = Path(folder, *below.split(".")).with_suffix(".py")
        if not path.is_file():
            continue
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "HELP":
                return ast.literal_eval(statement.value)
    raise UserError(
        f"the command {below.rpartition('.')[2]!r} is announced as {module}, expected a module "
        "with a line HELP = ...; reinstall its package, or uninstall it"
    )


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command; of the sub-commands only ``chosen`` is imported."""
    parser = argparse.ArgumentParser(
        prog="arcface-fair",
        description="Mitigate and measure demographic bias in face recognition training.",
    )
    parser.add_argument("--version", action="version", version=arcface_fair.__version__)
    parsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module_name in sorted(_modules().items()):
        try:
            line = _help(module_name)
        except UserError:
            if name == chosen:
                raise
            continue  # one broken package leaves the other commands as they are
        sub = parsers.add_parser(name, help=line, description=line)
        if name == chosen:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    # The first word that is no option is the command: no option of the whole command has a value.
    chosen = next((word for word in words if not word.startswith("-")), None)
    try:
        args = build_parser(chosen).parse_args(words)
        return args.run(args) or 0
    except UserError as error:
        print_sentence(error)
        return 2
    except KeyboardInterrupt:
        print("arcface-fair: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`); keep the interpreter from saying so twice.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1

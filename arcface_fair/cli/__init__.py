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
import atexit
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import arcface_fair
from arcface_fair.errors import UserError, print_sentence


def commands() -> dict[str, str]:
    """The sub-commands and their one line of help each, without importing any of them.

    The line is read from the module's source, because what a command imports takes seconds.
    """
    return {command: _help(path) for command, (_, path) in sorted(_sources().items())}


def _sources() -> dict[str, tuple[str, Path]]:
    """Sub-command -> its module's name and source file."""
    modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    modules += [point.value for point in entry_points(group="arcface_fair.commands")]
    return {
        module.rpartition(".")[2].replace("_", "-"): (module, _source(module))
        for module in modules
        if "._" not in module
    }


def _source(module: str) -> Path:
    package, _, below = module.partition(".")
    spec = importlib.util.find_spec(package)  # without a dot it imports nothing
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*below.split(".")).with_suffix(".py")


def _help(path: Path) -> str:
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "HELP":
            return ast.literal_eval(statement.value)
    raise AttributeError(f"{path} has no HELP, expected one line of text")


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command; of the sub-commands only ``chosen`` is imported."""
    parser = argparse.ArgumentParser(
        prog="arcface-fair",
        description="Mitigate and measure demographic bias in face recognition training.",
    )
    parser.add_argument("--version", action="version", version=arcface_fair.__version__)
    parsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (module_name, path) in sorted(_sources().items()):
        line = _help(path)
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


def leave(code: int) -> NoReturn:
    """Ends the process with ``code``; a rank of several skips Python's finalisation.

    DistributedDataParallel keeps the threads of gloo's group alive beyond destroy_process_group,
    and one that asks for the interpreter during finalisation aborts the process: SIGABRT, after a
    run that ended well too (seen in about 1 of 150 runs on a busy machine).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)

# SPDX-License-Identifier: MIT
"""Reads the config files that both hosts share: upstream's kind, ``configs/base.py`` + one more.

Each file defines an EasyDict named ``config``; the job's keys update the base's. A file is Python
and is run, so only configs that you trust belong on the command line.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from easydict import EasyDict

from arcface_fair.errors import UserError


def shipped_configs() -> Path:
    """The folder of configs that came with the package (or lies beside it in a checkout)."""
    package = Path(__file__).parent
    packaged = package / "_configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def find_config(name: str, folder: Path | None = None) -> Path:
    """The file meant by ``configs/NAME``, ``configs/NAME.py``, a path, or a shipped ``NAME``.

    The working folder (or ``folder``) is looked at first, the shipped configs second.
    """
    here = folder or Path.cwd()
    wanted = Path(name if name.endswith(".py") else f"{name}.py")
    for candidate in (here / wanted, here / "configs" / wanted, shipped_configs() / wanted.name):
        if candidate.is_file():
            return candidate
    known = sorted(p.stem for p in shipped_configs().glob("*.py") if p.stem not in _NOT_RUNS)
    raise UserError(
        f"no config {name!r} in {here} and none of that name is shipped; "
        f"shipped: {', '.join(known)}. Give one of these names, or the path of a file"
    )


_NOT_RUNS = ("base", "__init__")


def load_config(name: str, overrides: Mapping[str, Any] | None = None) -> EasyDict:
    """The run's config: base, then the job's file, then ``overrides``.

    ``config.name`` is the file's stem, and ``config.output`` falls back to ``work_dirs/NAME`` as
    upstream does. Raises UserError when a file is missing, fails to run or defines no ``config``.
    """
    path = find_config(name)
    beside = path.parent / "base.py"
    config = EasyDict(_read(beside if beside.is_file() else shipped_configs() / "base.py"))
    config.update(_read(path))
    config.update(overrides or {})
    config.name = path.stem
    if config.get("output") is None:
        config.output = str(Path("work_dirs") / path.stem)
    return config


@contextlib.contextmanager
def modules_beside(name: str) -> Iterator[None]:
    """Modules that lie in the folder of the config ``name`` can be imported inside.

    The folder comes last, so no module of it hides an installed one.
    """
    folder = str(find_config(name).resolve().parent)
    if folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with ``changes`` over it; where both hold a block, they are merged in turn."""
    result = dict(config)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def _read(path: Path) -> dict[str, Any]:
    try:
        variables = runpy.run_path(str(path))
    except Exception as error:  # whatever a user's file raises is reported as that file's fault
        kind = type(error).__name__
        raise UserError(
            f"config {path} stops with {kind}: {error}; correct the file and start again"
        ) from error
    if not isinstance(variables.get("config"), Mapping):
        raise UserError(
            f"config {path} defines no EasyDict named 'config'; "
            "begin it with `from easydict import EasyDict` and `config = EasyDict()`"
        )
    return dict(variables["config"])

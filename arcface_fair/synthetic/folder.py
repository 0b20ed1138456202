# SPDX-License-Identifier: MIT
"""A folder that appears whole or not at all, and is replaced only by a whole one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arcface_fair.errors import UserError

SUMMARY = "world.json"


@contextmanager
def whole_folder(folder: Path, force: bool) -> Iterator[Path]:
    """A draft beside ``folder`` that takes its place when the block ends well."""
    if folder.exists():
        _check_replaceable(folder, force)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        draft.mkdir(parents=True)
        yield draft
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for rest in (draft, old):
            shutil.rmtree(rest, ignore_errors=True)


def _check_replaceable(folder: Path, force: bool) -> None:
    if not force:
        raise UserError(
            f"{folder} exists already; expected a new folder; "
            "name another one or give --force to replace a drawn world"
        )
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / SUMMARY).is_file()):
        raise UserError(
            f"{folder} holds no {SUMMARY}, so no drawn world; --force replaces only folders that "
            "this command wrote; name another folder"
        )

# SPDX-License-Identifier: MIT
"""Installs, checks and undoes the patches of one arcface_torch folder, all files or none.

Files are replaced one by one; a record written first says what they were, so that an install that
was interrupted is rolled back by the next one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import arcface_fair
from arcface_fair.errors import UserError

from . import PATCHES
from .plan import Plan, chosen, find_home, make_plan, read, refuse_edited
from .record import FOLDER, Record, digest, original, original_path, read_record

__all__ = [
    "PATCHES",
    "Plan",
    "apply",
    "chosen",
    "find_home",
    "make_plan",
    "recover",
    "status",
    "undo",
]


def apply(plan: Plan) -> bool:
    """Writes the plan; False if nothing had to change. After an error everything is as before."""
    record = read_record(plan.home)
    changed = {f: new for f, (_, new) in plan.files.items() if read(plan.home, f) != new}
    wanted = {f: digest(new) for f, (old, new) in plan.files.items() if new != old}
    same = record is not None and record.complete and record.after == wanted
    if same and not changed and not plan.configs and record.patches == plan.patches:  # type: ignore[union-attr]
        return False
    fresh = Record(
        version=arcface_fair.__version__,
        patches=plan.patches,
        before={f: digest(old) for f, (old, _) in plan.files.items()},
        after={f: digest(new) for f, (_, new) in plan.files.items()},
        former=record.after if record else {},
        configs=(record.configs if record else {})
        | {name: digest(text) for name, text in plan.configs.items()},
    )
    try:
        for file, (old, _) in plan.files.items():
            keep = original_path(plan.home, file)
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.write_bytes(old)
        fresh.write(plan.home)
        for name, data in {**changed, **plan.configs}.items():
            replace(plan.home / name, data)
        fresh.before, fresh.after, fresh.former = _only(fresh.before, wanted), wanted, {}
        fresh.complete = True
        fresh.write(plan.home)
    except OSError as error:
        recover(plan.home)
        raise UserError(
            f"cannot write in {plan.home}: {error.strerror} ({error.filename}); everything is as "
            "it was. Give yourself the right to write there, and free space"
        ) from error
    return True


def recover(home: Path) -> bool:
    """Rolls an interrupted install back to the originals; False if there was none.

    Raises UserError for a file that is neither as it was nor as the install writes it.
    """
    record = read_record(home)
    if record is None or record.complete:
        if record is None:
            shutil.rmtree(home / FOLDER, ignore_errors=True)
        return False
    refuse_edited(home, record)
    _restore(home, record)
    return True


def undo(home: Path) -> list[str]:
    """Restores every file byte for byte and removes the record; returns configs that were kept.

    Copied configs that were edited since stay. Raises UserError where nothing is installed, and
    for files edited since the install.
    """
    record = read_record(home)
    if record is None:
        raise UserError(f"nothing is installed in {home}; there is nothing to undo")
    refuse_edited(home, record)
    return _restore(home, record)


def _restore(home: Path, record: Record) -> list[str]:
    originals = {file: original(home, file) for file in record.after}
    try:
        for file, data in originals.items():
            if read(home, file) != data:
                replace(home / file, data)
        kept = []
        for name, written in record.configs.items():
            path = home / name
            if path.is_file() and digest(path.read_bytes()) != written:
                kept.append(name)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot restore {error.filename} in {home}: {error.strerror}; give yourself the "
            "right to write there and repeat --undo"
        ) from error
    shutil.rmtree(home / FOLDER)
    return kept


def status(home: Path, configs: Path | None = None) -> tuple[bool, str]:
    """Whether the install is whole and current, and one sentence about it."""
    record = read_record(home)
    if record is None:
        return False, f"{home}: not installed"
    if not record.complete:
        return False, f"{home}: an install was interrupted; install again, or --undo"
    wanted = [patch for patch in PATCHES if patch.NAME in record.patches]
    try:
        plan = make_plan(home, wanted, None)
    except UserError as error:
        return False, str(error)
    stale = [file for file, (_, new) in plan.files.items() if read(home, file) != new]
    if stale:
        return False, (
            f"{home}: installed by version {record.version}, not current: {', '.join(stale)}; "
            "install again"
        )
    return True, f"{home}: installed and current; patches: {', '.join(record.patches)}"


def replace(path: Path, data: bytes) -> None:
    """Writes ``path`` whole, with the mode that it had."""
    scratch = path.with_name(f".{path.name}.arcface_fair")
    try:
        scratch.write_bytes(data)
        if path.exists():
            shutil.copymode(path, scratch)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _only(values: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    return {key: values[key] for key in keys}

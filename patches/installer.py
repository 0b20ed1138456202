# SPDX-License-Identifier: MIT
"""Installs, shows, checks and undoes the patches of one arcface_torch folder, all files or none.

Every anchor is looked up before anything is written. Files are replaced one by one; a record
written first says what they were, so that an install that was interrupted is rolled back by the
next one.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import arcface_fair
from arcface_fair.errors import UserError

from . import PATCHES, MissingAnchorError, Patch, patched_source
from .patch import IMPORT
from .record import FOLDER, Record, digest, original, original_path, read_record

_NOT_COPIED = ("base.py", "__init__.py")


@dataclass(frozen=True)
class Plan:
    """What an install would write: file -> (bytes before, bytes after), and new configs."""

    home: Path
    patches: list[str]
    files: dict[str, tuple[bytes, bytes]]
    configs: dict[str, bytes]

    def diff(self) -> str:
        """The unified diff of every file that would change, against what lies there now."""
        parts = [
            unified(_read(self.home, file), new, file) for file, (_, new) in self.files.items()
        ]
        return "".join([*parts, *(unified(b"", text, name) for name, text in self.configs.items())])


def find_home(folder: Path) -> Path:
    """The arcface_torch folder meant by ``folder``: itself, or inside a checkout of InsightFace.

    Raises UserError for other folders and for versions before July 2022.
    """
    for inner in (".", "recognition/arcface_torch", "arcface_torch"):
        home = folder / inner
        if (home / "train_v2.py").is_file() and (home / "partial_fc_v2.py").is_file():
            return home if inner != "." else folder
        if (home / "train.py").is_file() and (home / "partial_fc.py").is_file():
            raise UserError(
                f"{home} is an arcface_torch from before July 2022: it has train.py but no "
                "train_v2.py; check out a newer version of InsightFace"
            )
    raise UserError(
        f"{folder} is no arcface_torch folder: there is no train_v2.py with partial_fc_v2.py in "
        "it or in recognition/arcface_torch; give the folder of InsightFace's "
        "recognition/arcface_torch, or the repository's root"
    )


def chosen(only: Sequence[str] = (), without: Sequence[str] = ()) -> list[type[Patch]]:
    """The patches by name, all by default. Raises UserError for a name that none has."""
    names = list(dict.fromkeys(patch.NAME for patch in PATCHES))
    for name in (*only, *without):
        if name not in names:
            raise UserError(f"there is no patch {name!r}; patches: {', '.join(names)}")
    wanted = [n for n in names if (not only or n in only) and n not in without]
    return [patch for patch in PATCHES if patch.NAME in wanted]


def make_plan(home: Path, patches: Iterable[type[Patch]], configs: Path | None) -> Plan:
    """What installing ``patches`` in ``home`` would write.

    ``configs``: a folder of run files to copy. Raises UserError for an interrupted install (run
    `recover` first), files edited since the last one, and anchors that are not there.
    """
    patches = list(patches)
    record = read_record(home)
    if record is not None:
        refuse_edited(home, record)
    by_file: dict[str, list[Patch]] = {}
    for patch in patches:
        by_file.setdefault(patch.FILE, []).append(patch())
    files: dict[str, tuple[bytes, bytes]] = {}
    missing: list[str] = []
    for file, own in by_file.items():
        source = _source(home, file, record)
        try:
            files[file] = (source, patched_source(source, own))
        except MissingAnchorError as error:
            missing += [_says(m.file, m.patch, m.anchor, m.by_hand) for m in error.missing]
        except SyntaxError as error:
            missing.append(f"{file} is no Python that can be read: {error}")
    for file in (record.after if record else {}):
        if file not in files:  # patched before, not chosen now
            files[file] = (original(home, file), original(home, file))
    if missing:
        raise UserError(
            f"nothing was changed in {home}: " + "\n".join(missing) + "\n"
            "leave the patch out with --without NAME, or write the lines by hand and install again"
        )
    names = list(dict.fromkeys(patch.NAME for patch in patches))
    return Plan(home, names, files, _new_configs(home, configs, record))


def _says(file: str, patch: str, anchor: str, by_hand: str) -> str:
    lines = "\n    ".join(by_hand.splitlines())
    return f"{file}: {anchor} was not found (patch {patch}); write there by hand:\n    {lines}"


def _source(home: Path, file: str, record: Record | None) -> bytes:
    if record is not None and file in record.after:
        return original(home, file)
    if not (home / file).is_file():
        raise UserError(
            f"{home / file} does not exist; this is no arcface_torch that the patches know. "
            "Restore the file, or leave its patches out with --without"
        )
    source = _read(home, file)
    if IMPORT.encode() in source:
        raise UserError(
            f"{home / file} calls arcface_fair.bridge already, but {home / FOLDER} does not say "
            f"what it was before; restore it with `git checkout {file}` and install again"
        )
    return source


def _new_configs(home: Path, configs: Path | None, record: Record | None) -> dict[str, bytes]:
    """Run files to write: those that are not there, and ours that nobody has edited."""
    new: dict[str, bytes] = {}
    for path in sorted(configs.glob("*.py")) if configs is not None else ():
        name = f"configs/{path.name}"
        if path.name in _NOT_COPIED:
            continue
        there, text = home / name, path.read_bytes()
        if there.is_file():
            found = there.read_bytes()
            ours = record is not None and record.configs.get(name) == digest(found)
            if not ours or found == text:
                continue
        new[name] = text
    return new


def refuse_edited(home: Path, record: Record) -> None:
    """Raises UserError with the difference if a patched file is neither as installed nor original."""
    for file, installed in record.after.items():
        now = _read(home, file)
        if digest(now) in (installed, record.before[file], record.former.get(file)):
            continue
        patches = [patch() for patch in PATCHES if patch.FILE == file]
        names = [p for p in patches if p.NAME in record.patches]
        try:
            expected = patched_source(original(home, file), names)
        except MissingAnchorError:
            expected = original(home, file)
        raise UserError(
            f"{home / file} was edited since the install:\n{unified(expected, now, file)}"
            f"take the change back (or `git checkout {file}`), then repeat the command; after "
            "that, make it again"
        )


def apply(plan: Plan) -> bool:
    """Writes the plan; False if nothing had to change. After an error everything is as before."""
    record = read_record(plan.home)
    changed = {f: new for f, (_, new) in plan.files.items() if _read(plan.home, f) != new}
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
            if _read(home, file) != data:
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
    stale = [file for file, (_, new) in plan.files.items() if _read(home, file) != new]
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


def unified(before: bytes, after: bytes, name: str) -> str:
    """The unified diff of two versions of a file."""
    old, new = (text.decode("utf-8", "replace").splitlines(True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def _read(home: Path, file: str) -> bytes:
    try:
        return (home / file).read_bytes()
    except FileNotFoundError:
        return b""


def _only(values: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    return {key: values[key] for key in keys}

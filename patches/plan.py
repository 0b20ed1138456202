# SPDX-License-Identifier: MIT
"""What an install would write in a folder: every anchor looked up, nothing touched."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arcface_fair.errors import UserError

from . import PATCHES, MissingAnchorError, Patch, patched_source
from .patch import IMPORT
from .record import FOLDER, Record, digest, original, read_record

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
        parts = [unified(read(self.home, file), new, file) for file, (_, new) in self.files.items()]
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
    for file in record.after if record else {}:
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
    source = read(home, file)
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
    """Raises UserError with the difference for a file neither as installed nor as before."""
    for file, installed in record.after.items():
        now = read(home, file)
        if digest(now) in (installed, record.before[file], record.former.get(file)):
            continue
        patches = [patch() for patch in PATCHES if file == patch.FILE]
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


def unified(before: bytes, after: bytes, name: str) -> str:
    """The unified diff of two versions of a file."""
    old, new = (text.decode("utf-8", "replace").splitlines(True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def read(home: Path, file: str) -> bytes:
    """The bytes of ``file`` in ``home``; none if it does not exist."""
    try:
        return (home / file).read_bytes()
    except FileNotFoundError:
        return b""

# SPDX-License-Identifier: MIT
"""What an install leaves behind in ``DIR/.arcface_fair``: originals and hashes, enough to undo.

installed.json      version, patches, and for each file the hashes before and after
originals/FILE      the bytes before
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from arcface_fair.errors import UserError

FOLDER = ".arcface_fair"


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Record:
    """One install. ``complete`` is False while files are being written."""

    version: str
    patches: list[str]
    before: dict[str, str] = field(default_factory=dict)  # file -> hash of the original
    after: dict[str, str] = field(default_factory=dict)  # file -> hash of what was written
    former: dict[str, str] = field(default_factory=dict)  # file -> hash by the install before
    configs: dict[str, str] = field(default_factory=dict)  # copied config -> hash
    complete: bool = False

    def write(self, home: Path) -> None:
        """Writes ``installed.json`` whole."""
        path = home / FOLDER / "installed.json"
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")
        scratch.replace(path)


def read_record(home: Path) -> Record | None:
    """The install in ``home``, or None. Raises UserError for a record that cannot be read."""
    path = home / FOLDER / "installed.json"
    if not path.is_file():
        return None
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); restore the files with `git checkout .` in {home}, "
            f"then delete {FOLDER} and install again"
        ) from error


def original_path(home: Path, file: str) -> Path:
    """Where the original of ``file`` is kept."""
    return home / FOLDER / "originals" / file


def original(home: Path, file: str) -> bytes:
    """The bytes of ``file`` before the install. Raises UserError if the copy is gone."""
    path = original_path(home, file)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}, the copy of {file} from before the install, cannot be read "
            f"({error.strerror}); restore {file} with `git checkout {file}`"
        ) from error

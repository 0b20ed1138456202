# SPDX-License-Identifier: MIT
"""Files that appear whole or not at all, their digests, and what JSON can hold."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from arcface_fair.errors import UserError


@contextmanager
def atomic_files(*paths: str | Path) -> Iterator[tuple[BinaryIO, ...]]:
    """Binary files to write that get their names, all of them, when the block ends well.

    Until then they lie beside their places under temporary names; they are removed if the block
    raises. Missing parent folders are made. Raises UserError where a file cannot be written
    (no permission, disk full, a folder in its place).
    """
    targets = [Path(path) for path in paths]
    drafts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in targets]
    try:
        with ExitStack() as stack:
            for target in targets:
                target.parent.mkdir(parents=True, exist_ok=True)
            files = tuple(stack.enter_context(draft.open("wb")) for draft in drafts)
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for draft, target in zip(drafts, targets, strict=True):
            os.replace(draft, target)
    except OSError as error:
        ours = {str(path) for path in (*targets, *drafts, *(p.parent for p in targets))}
        # An error that names another file comes from the block's own reading, not from us.
        if error.filename is not None and str(error.filename) not in ours:
            raise
        raise UserError(
            f"{targets[0]} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error
    finally:
        for draft in drafts:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def write_whole(path: str | Path, data: bytes) -> Path:
    """Writes one file as `atomic_files` does and returns its path."""
    with atomic_files(path) as (file,):
        file.write(data)
    return Path(path)


def sha256(path: str | Path) -> str:
    """The file's SHA-256, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finite_or_none(value: float) -> float | None:
    """What JSON can hold: None for NaN and the infinities."""
    return float(value) if math.isfinite(value) else None

# SPDX-License-Identifier: MIT
"""A small file written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from arcface_fair.errors import UserError


def write_whole(path: str | Path, data: bytes) -> Path:
    """Writes ``data``; missing folders are made. Raises UserError where it cannot be written."""
    place = Path(path)
    draft = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        os.replace(draft, place)
    except OSError as error:
        raise UserError(
            f"{place} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return place

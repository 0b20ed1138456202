# SPDX-License-Identifier: MIT
"""Builds the index of a record file anew."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from arcface_fair.data.record.recordio import unpack
from arcface_fair.data.record.scan import Progress, scan_records
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files


def rebuild_index(
    rec_path: str | Path, idx_path: str | Path, progress: Progress | None = None
) -> int:
    """Writes the index of a record file that has lost it; the number of records.

    The keys are the numbers in the records' headers, where MXNet's tools put them; if those are
    not all different, the records' positions 0, 1, ... Memory: 16 bytes per record.
    Raises UserError if the file is damaged anywhere: an index would hide that.
    """
    keys, offsets = array("q"), array("q")
    for stretch in scan_records(rec_path, progress):
        if stretch.damage:
            raise UserError(
                f"{rec_path} at byte {stretch.offset} {stretch.damage}; an index is built for a "
                "sound file, write a clean copy with `arcface-fair inspect ... --repair OUT`"
            )
        header, _ = unpack(stretch.record, f"the record at byte {stretch.offset} of {rec_path}")
        keys.append(header.id & ((1 << 63) - 1))
        offsets.append(stretch.offset)
    if not keys:
        raise UserError(f"{rec_path} holds no record; copy the file again")
    numbers = np.frombuffer(keys, np.int64)
    if len(np.unique(numbers)) < len(numbers):
        numbers = np.arange(len(offsets))
    with atomic_files(idx_path) as (file,):
        for key, offset in zip(numbers.tolist(), offsets, strict=True):
            file.write(b"%d\t%d\n" % (key, offset))
    return len(offsets)

# SPDX-License-Identifier: MIT
"""Copies the images of use of a record, by identity, into a new InsightFace record.

Identities are numbered anew from 0 in their old order; the group table beside the record is
cut and renumbered with them, and ``renumbered.tsv`` says which class each one was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.record.recordio import unpack
from arcface_fair.data.record.report import RecordReport
from arcface_fair.data.record.scan import Progress, RecordFile
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files

OUTPUTS = ("train.rec", "train.idx", "property", "groups.tsv", "renumbered.tsv")


def refuse_existing(folder: str | Path, names: Iterable[str], force: bool) -> None:
    """Raises UserError if one of the files is there and ``force`` is off."""
    for name in names:
        if (Path(folder) / name).exists() and not force:
            raise UserError(
                f"{Path(folder) / name} exists already; name another folder, "
                "or give --force to replace it"
            )


def read_groups_beside(path: Path, num_classes: int) -> GroupTable | None:
    """groups.tsv in the folder of the record ``path``, or None. Raises UserError if it is wrong."""
    table = path.parent / "groups.tsv"
    return GroupTable.read(table, num_classes) if table.exists() else None


def select(table: GroupTable, identities: np.ndarray) -> GroupTable:
    """The table of these classes, in this order, numbered from 0."""
    names = table.class_names
    columns = {
        column: [words[i] for i in identities.tolist()]
        for column, words in ((c, a.words()) for c, a in table.attributes.items())
    }
    kept = None if names is None else [names[i] for i in identities.tolist()]
    return GroupTable.of_words(columns, kept)


def rewrite_record(
    report: RecordReport,
    out: str | Path,
    *,
    drop: Iterable[int] = (),
    force: bool = False,
    progress: Progress = int,
) -> tuple[int, int]:
    """Writes the record to folder ``out``; (images, identities) that it holds.

    report: of the record to copy.  drop: identities to leave out.
    progress: called with 1 for every image.
    Raises UserError if nothing is left, if a file exists (without ``force``) or cannot be
    written; then nothing is written.
    """
    out = Path(out)
    if out.resolve() == report.path.parent.resolve():
        raise UserError(f"{out} holds the record that is read; name another folder to write to")
    refuse_existing(out, OUTPUTS, force)
    keep = ~np.isin(report.labels, np.fromiter(drop, np.int64))
    offsets, labels = report.offsets[keep], report.labels[keep]
    if not len(labels):
        raise UserError(f"no image of {report.path} is left to write; check what is dropped")
    num_before = max(len(report.counts()), (report.announced or (0, 0))[1])
    table = read_groups_beside(report.path, num_before)
    identities, new_labels = np.unique(labels, return_inverse=True)
    # Stable: within an identity the images keep their order.
    order = np.argsort(new_labels, kind="stable")
    size = report.sizes.most_common(1)[0][0][1] or 112
    with RecordFile(report.path) as file:
        images = _payloads(file, offsets[order], new_labels[order], progress)
        count = write_insightface_record(out, images, len(identities), size)
    (out / "groups.tsv").unlink(missing_ok=True)
    if table is not None:
        select(table, identities).write(out / "groups.tsv")
    with atomic_files(out / "renumbered.tsv") as (tsv,):
        tsv.write(b"identity\twas\n")
        tsv.writelines(b"%d\t%d\n" % pair for pair in enumerate(identities.tolist()))
    return count, len(identities)


def _payloads(
    file: RecordFile, offsets: np.ndarray, labels: np.ndarray, progress: Progress
) -> Iterator[tuple[bytes, int]]:
    for offset, label in zip(offsets.tolist(), labels.tolist(), strict=True):
        yield unpack(file.read(offset))[1], label
        progress(1)

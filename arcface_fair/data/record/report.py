# SPDX-License-Identifier: MIT
"""Looks through a record file once, front to back, and says what it holds and what is wrong.

Works without the index. Memory: 16 bytes per image, whatever the images weigh.

What a look through a record found, in lines for people.

Builds the index of a record file anew.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcface_fair.data.image.header import ImageHeader, is_cut, read_image_header
from arcface_fair.data.image.images import decode
from arcface_fair.data.record.index import read_index
from arcface_fair.data.record.parallel import ordered_map
from arcface_fair.data.record.recordio import RecordHeader, unpack
from arcface_fair.data.record.scan import Progress, RecordFile, Stretch, scan_records
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files


def words(report: RecordReport) -> Iterator[str]:
    """The report in lines for people."""
    counts = report.counts()
    present = counts[counts > 0]
    yield f"file:        {report.path} ({report.size / 1e6:.1f} MB, {report.records} records)"
    yield f"layout:      {report.layout}" + (
        f", record 0 announces {report.announced[0]} images of {report.announced[1]} identities"
        if report.announced
        else ", every record is an image"
    )
    yield f"images:      {len(report.labels)}"
    yield f"identities:  {len(present)} (labels 0..{len(counts) - 1})" + (
        f", {len(counts) - len(present)} labels without an image"
        if len(present) < len(counts)
        else ""
    )
    if len(present):
        low, middle, high = np.percentile(present, [0, 50, 100])
        yield (
            f"per identity: {low:.0f} to {high:.0f} images, median {middle:g}, "
            f"mean {present.mean():.1f}"
        )
    yield "order:       " + ("identities in order" if report.in_order else "identities are mixed")
    yield "labels:      " + (", ".join(f"{n} x {k}" for k, n in report.labels_as.items()) or "none")
    sizes = [f"{n} x {w} x {h} {f}" for (f, w, h), n in report.sizes.most_common(5)]
    more = f" and {len(report.sizes) - 5} other sizes" if len(report.sizes) > 5 else ""
    yield "sizes:       " + (", ".join(sizes) or "none") + more
    yield f"index:       {report.index}"
    yield f"faults:      {report.num_faults or 'none found'}"
    for fault in report.faults[:10]:
        who = f"record {fault.key}" if fault.key >= 0 else "the place"
        yield f"  {who} at byte {fault.offset} {fault.what}"
    if report.num_faults > 10:
        yield f"  ... and {report.num_faults - 10} more"


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


_LISTED = 1000  # so many faults are kept in words; all are counted


class Fault(NamedTuple):
    """Something wrong at byte ``offset`` (the record's key, or -1) in words."""

    offset: int
    key: int
    what: str


@dataclass
class RecordReport:
    """What one pass found.

    offsets, labels: int64 [images], of every image that is of use, in the file's order.
    labels_as: how often a label is a number or an array of n.  sizes: how often each
    (format, width, height) occurs.  announced: (images, identities) of record 0, if it is
    InsightFace's.  faults: the first of them in words; num_faults: all.
    """

    path: Path
    size: int
    records: int = 0
    num_ranges: int = 0
    announced: tuple[int, int] | None = None
    labels_as: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    num_faults: int = 0
    offsets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    index: str = ""

    @property
    def layout(self) -> str:
        """ "insightface" or "im2rec", see `record_dataset`."""
        return "im2rec" if self.announced is None else "insightface"

    def counts(self) -> np.ndarray:
        """int64 [highest label + 1]: images per identity."""
        return np.bincount(self.labels) if len(self.labels) else np.zeros(0, np.int64)

    @property
    def in_order(self) -> bool:
        """Whether every identity's images stand together, identities ascending."""
        return bool((np.diff(self.labels) >= 0).all())

    @property
    def sound(self) -> bool:
        """Nothing is wrong: `repair` would change nothing but the order."""
        return not self.num_faults and self.index in ("", "agrees")

    def add_fault(self, offset: int, key: int, what: str) -> None:
        """Counts a fault and keeps the first ones."""
        self.num_faults += 1
        if len(self.faults) < _LISTED:
            self.faults.append(Fault(offset, key, what))


def inspect_record(
    folder: str | Path, *, decode_images: bool = False, workers: int = 2, progress: Progress = int
) -> RecordReport:
    """Looks through ``folder``/train.rec (or the .rec file itself).

    decode_images: decodes every image in ``workers`` threads; without it images are judged by
    their first and last bytes, which is many times faster and finds what is cut.
    progress: called with the number of bytes done.
    Raises UserError if the file cannot be read; damage is reported, not raised.
    """
    path = Path(folder)
    path = path / "train.rec" if path.is_dir() else path
    with RecordFile(path) as file:
        report = RecordReport(path, file.size)
        offsets, labels, starts = array("q"), array("q"), array("q")
        judge = _decoded if decode_images else _looked_at
        judged = ordered_map(judge, file.scan(progress), workers if decode_images else 1)
        for stretch, header, payload, image, fault in judged:
            key = -1 if header is None else header.id
            if header is not None:
                starts.append(stretch.offset)
            if fault:
                report.add_fault(stretch.offset, key, fault)
            elif header is not None and _is_image(report, header, payload, image):
                offsets.append(stretch.offset)
                labels.append(int(header.first_label))
            report.records += header is not None
        report.offsets, report.labels = (np.frombuffer(a, np.int64) for a in (offsets, labels))
        _check_announced(report)
        report.index = _check_index(path.with_suffix(".idx"), np.frombuffer(starts, np.int64))
    return report


class _Judged(NamedTuple):
    stretch: Stretch
    header: RecordHeader | None
    payload: bytes
    image: ImageHeader | None
    fault: str


def _looked_at(stretch: Stretch) -> _Judged:
    """The record's header and what is wrong with it, from the image's first and last bytes."""
    if stretch.damage:
        return _Judged(stretch, None, b"", None, stretch.damage)
    try:
        header, payload = unpack(stretch.record)
    except UserError as error:
        return _Judged(stretch, None, b"", None, str(error).split(";")[0])
    label = header.first_label
    fault = ""
    image = read_image_header(payload)
    if payload and not (label.is_integer() and 0 <= label < 1 << 31):
        fault = f"has label {label:g}, no whole number from 0"
    elif payload:
        if image is None:
            fault = "" if _decodes(payload) else "holds no image"
        elif is_cut(payload, image):
            fault = "holds an image that is cut"
    elif header.flag != 2:
        fault = "holds no image"
    return _Judged(stretch, header, payload, image, fault)


def _decoded(stretch: Stretch) -> _Judged:
    judged = _looked_at(stretch)
    if judged.payload and not judged.fault and not _decodes(judged.payload):
        return judged._replace(fault="holds an image that cannot be decoded")
    return judged


def _decodes(payload: bytes) -> bool:
    try:
        decode(payload, "the image")
    except UserError:
        return False
    return True


def _is_image(
    report: RecordReport, header: RecordHeader, payload: bytes, image: ImageHeader | None
) -> bool:
    """Counts the record; whether it is an image."""
    if not payload:
        if report.records == 0:
            first, last = (float(bound) for bound in np.asarray(header.label))
            if 1 <= first <= last < 1 << 62:
                report.announced = int(first) - 1, int(last - first)
            else:
                report.add_fault(0, header.id, f"announces the ranges {first:g}, {last:g}")
        else:
            report.num_ranges += 1
        return False
    report.labels_as["number" if header.flag == 0 else f"array of {header.flag}"] += 1
    known = ("other", 0, 0) if image is None else (image.format, image.width, image.height)
    report.sizes[known] += 1
    return True


def _check_announced(report: RecordReport) -> None:
    if report.announced is None:
        return
    images, identities = report.announced
    # float32 skips whole numbers above 2^24, so large files announce a neighbour.
    slack = max(images >> 23, 0)
    count = len(report.labels)
    if abs(count - images) > slack:
        report.add_fault(0, 0, f"announces {images} images, {count} are of use")
    if abs(report.num_ranges - identities) > slack:
        report.add_fault(
            0, 0, f"announces {identities} identities, {report.num_ranges} ranges lie there"
        )


def _check_index(path: Path, starts: np.ndarray) -> str:
    """ "agrees", or in what the .idx file differs from where the records were found."""
    if not path.exists():
        return f"{path.name} is missing"
    try:
        _, offsets = read_index(path)
    except UserError as error:
        return str(error).split(";")[0]
    astray = int(np.isin(offsets, starts, invert=True).sum())
    lacking = int(np.isin(starts, offsets, invert=True).sum())
    if astray or lacking:
        return f"{astray} entries point to no record, {lacking} records have no entry"
    return "agrees"

# SPDX-License-Identifier: MIT
"""What a look through a record found, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arcface_fair.data.record.report import RecordReport


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

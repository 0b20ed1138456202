# SPDX-License-Identifier: MIT
"""Draws a few people of every group in rows, each image as a network would see it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from arcface_fair.data.groups import Attribute
from arcface_fair.data.image.images import FACE_SIZE, decode
from arcface_fair.data.record.recordio import unpack
from arcface_fair.data.record.report import RecordReport
from arcface_fair.data.record.scan import RecordFile

_TITLE = 20  # height in pixels of a line of text
_GAP = 2


def choose(report: RecordReport, groups: Attribute | None, people: int) -> list[tuple[str, int]]:
    """(group, identity), up to ``people`` of each group, evenly spread over its identities."""
    present = np.flatnonzero(report.counts())
    chosen: list[tuple[str, int]] = []
    if groups is None:
        sets: list[tuple[str, np.ndarray]] = [("", present)]
    else:
        codes = np.append(groups.codes, -1)[np.minimum(present, len(groups.codes))]
        named = [*enumerate(groups.names), (-1, "unknown")]
        sets = [(name, present[codes == code]) for code, name in named]
    for name, members in sets:
        places = np.linspace(0, len(members) - 1, min(people, len(members)))
        chosen += [(name, int(members[int(place)])) for place in places]
    return chosen


def draw_sheet(
    report: RecordReport, groups: Attribute | None = None, *, people: int = 3, shots: int = 8
) -> np.ndarray:
    """uint8 RGB [rows, columns, 3]: per row up to ``shots`` images of one identity, with a title.

    groups: the attribute to show people of; None takes them from the whole record.
    """
    rows: list[np.ndarray] = []
    with RecordFile(report.path) as file:
        for group, identity in choose(report, groups, people):
            own = report.offsets[report.labels == identity]
            picked = own[np.unique(np.linspace(0, len(own) - 1, min(shots, len(own))).astype(int))]
            images = [decode(unpack(file.read(int(o)))[1], "an image") for o in picked]
            title = f"{identity}" + (f"  {group}" if group else "") + f"  {len(own)} images"
            rows.append(row_of(title, images, shots))
    return np.vstack(rows)


def row_of(title: str, images: Sequence[np.ndarray], across: int) -> np.ndarray:
    """A line of text above up to ``across`` images, each made to fit a square of 112 pixels."""
    height, width = _TITLE + FACE_SIZE + _GAP, across * (FACE_SIZE + _GAP)
    row = np.full((height, width, 3), 255, np.uint8)
    # The fonts of OpenCV know ASCII only; another letter becomes a question mark.
    text = title.encode("ascii", "replace").decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(row, text, (3, _TITLE - 6), font, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    for place, image in enumerate(images[:across]):
        scale = FACE_SIZE / max(image.shape[:2])
        size = [max(1, round(edge * scale)) for edge in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale != 1 else image
        left = place * (FACE_SIZE + _GAP)
        row[_TITLE : _TITLE + small.shape[0], left : left + small.shape[1]] = small
    return row

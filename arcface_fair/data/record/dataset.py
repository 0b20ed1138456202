# SPDX-License-Identifier: MIT
"""A RecordIO folder as faces by position, in either of the two layouts that are in use.

InsightFace: record 0 holds no image but the labels [N+1, N+1+C]; images have keys 1..N, and
record N+1+i the keys [first, past the last] of one identity's images. im2rec: every record is
an image. N images, C classes.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from arcface_fair.data.image.images import decode_face
from arcface_fair.data.record.recordio import IndexedRecordReader, unpack
from arcface_fair.data.training.faces import FaceDataset
from arcface_fair.errors import UserError

# Above this float32 skips whole numbers, and with them InsightFace's ranges lose their ends.
_EXACT = 1 << 24


class RecordDataset(FaceDataset):
    """The images of ``folder``/train.rec.

    keys: the images' keys by position.  layout: "insightface" or "im2rec".
    Raises UserError for missing, cut or inconsistent files; reads headers only until an image
    is asked for.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.reader = IndexedRecordReader(folder / "train.rec", folder / "train.idx")
        self._tail = self._find_tail()
        self.layout = "im2rec" if self._tail is None else "insightface"
        self.keys: range | np.ndarray = (
            self.reader.keys if self._tail is None else range(1, self._tail.start)
        )

    def _find_tail(self) -> range | None:
        """The keys of InsightFace's identity ranges, or None if the layout is im2rec's."""
        if 0 not in self.reader:
            return None
        header, payload = unpack(self.reader.read(0), self.reader.describe(0))
        if header.flag != 2 or payload:
            return None
        bounds = np.asarray(header.label)
        if not (np.isfinite(bounds).all() and 2 <= bounds[0] <= bounds[1]):
            raise UserError(
                f"{self.reader.describe(0)} has the labels {bounds.tolist()}, expected the number "
                "of images plus one, and that plus the number of identities; the file is damaged "
                "or was never finished, write it again"
            )
        start, end = (int(bound) for bound in bounds)
        if start >= _EXACT:
            start = self._exact_start(start)
            end = start + int((self.reader.keys >= start).sum())
        present = (self.reader.keys >= 1) & (self.reader.keys < start)
        if (listed := int(present.sum())) != start - 1:
            raise UserError(
                f"{self.reader.describe(0)} announces {start - 1} images but "
                f"{self.reader.idx_path} lists {listed}; one of them is cut or they do not belong "
                "together, copy both again"
            )
        return range(start, end)

    def _exact_start(self, rounded: int) -> int:
        """The first record without an image near ``rounded``, which float32 may have moved."""
        for key in range(rounded - 2, rounded + 3):
            if key in self.reader and not unpack(self.reader.read(key))[1]:
                return key
        return rounded

    @cached_property
    def identities(self) -> np.ndarray:  # type: ignore[override]
        """int64 [N]: from the identity ranges where they are consistent, else from every header.

        Raises UserError for a label that is no whole number.
        """
        from_ranges = None if self._tail is None else self._labels_from_ranges(self._tail)
        if from_ranges is not None:
            return from_ranges
        keys = self.keys if isinstance(self.keys, range) else self.keys.tolist()
        return np.fromiter((self._label(key) for key in keys), np.int64, len(keys))

    def _labels_from_ranges(self, tail: range) -> np.ndarray | None:
        """Two headers per identity in place of one per image; None unless all of it agrees."""
        num_images = len(self.keys)
        if num_images + 1 >= _EXACT or not tail or any(key not in self.reader for key in tail):
            return None
        headers = [self.reader.header(key) for key in tail]
        if any(header.flag != 2 for header in headers):
            return None
        bounds = np.array([header.label for header in headers])
        if not np.isfinite(bounds).all():
            return None
        bounds = bounds.astype(np.int64)
        first, end = bounds.T
        joined = (
            np.array_equal(first, np.concatenate([[1], end[:-1]])) and end[-1] == num_images + 1
        )
        if not joined or (end < first).any():
            return None
        labels = np.zeros(num_images, np.int64)
        for start, stop in bounds.tolist():
            if start == stop:
                continue
            label = self._label(start)
            if label != self._label(stop - 1):
                return None
            labels[start - 1 : stop - 1] = label
        return labels

    def _label(self, key: int) -> int:
        label = self.reader.header(key).first_label
        if not (label.is_integer() and abs(label) < 1 << 31):
            raise UserError(
                f"{self.reader.describe(key)} has label {label}, expected a whole number from 0; "
                "write the record again with class indices as labels"
            )
        return int(label)

    def read(self, position: int) -> np.ndarray:
        """uint8 [112, 112, 3] RGB. Raises UserError if damaged, undecodable or mislabelled."""
        key = int(self.keys[position])
        what = self.reader.describe(key)
        header, payload = unpack(self.reader.read(key), what)
        if header.first_label != self.identities[position]:
            raise UserError(
                f"{what} has label {header.first_label:g} but its identity range belongs to "
                f"{self.identities[position]}; the record contradicts itself, write it again"
            )
        return decode_face(payload, what)

    def describe(self, position: int) -> str:
        """``record KEY of FILE``."""
        return self.reader.describe(int(self.keys[position]))

# SPDX-License-Identifier: MIT
"""All pairs of images of one person, with exact similarities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.tiles import Ints
from arcface_fair.evaluation.verification import Floats

MOST = 1 << 28  # genuine pairs held at once: 24 bytes each


@dataclass(frozen=True)
class GenuinePairs:
    """scores: cosines [n]. people: who, [n]. rows, columns: image numbers, [n]."""

    scores: Floats
    people: Ints
    rows: Ints
    columns: Ints

    def among(self, images: Ints) -> GenuinePairs:
        """The pairs whose images are both among ``images``."""
        if not len(images) or not len(self.rows):
            return self._taken(slice(0))
        last = max(int(part.max()) for part in (self.rows, self.columns, images))
        inside = np.zeros(last + 1, bool)
        inside[images] = True
        return self._taken(inside[self.rows] & inside[self.columns])

    def _taken(self, which: NDArray[np.bool_] | slice) -> GenuinePairs:
        return GenuinePairs(
            self.scores[which], self.people[which], self.rows[which], self.columns[which]
        )


def genuine_pairs(people: Ints, exact: Callable[[Ints, Ints], Floats]) -> GenuinePairs:
    """Of images whose people are [N] codes. Raises UserError for more pairs than can be held."""
    sizes = np.bincount(people)
    total = int((sizes.astype(object) * (sizes.astype(object) - 1) // 2).sum())
    if total > MOST:
        raise UserError(
            f"the images make {total} genuine pairs, at most {MOST} can be held; "
            "take fewer images of each person"
        )
    by_person = np.argsort(people, kind="stable")
    first = np.cumsum(sizes) - sizes
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in np.unique(sizes[sizes > 1]).tolist():
        a, b = np.triu_indices(size, 1)
        start = first[sizes == size][:, None]
        rows.append(by_person[start + a].ravel())
        columns.append(by_person[start + b].ravel())
    left, right = np.concatenate(rows), np.concatenate(columns)
    return GenuinePairs(exact(left, right), people[left], left, right)

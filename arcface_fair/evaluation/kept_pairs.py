# SPDX-License-Identifier: MIT
"""The pairs that are kept of all pairs of images: the genuine ones, and the highest impostors.

A float32 product of unit rows differs from the float64 one by at most ``doubt``; whatever might
belong to the highest in float64 is kept and can be computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.tiles import Floats32, Ints
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


ROOM = 1 << 20  # pairs collected between two clearings, and kept in doubt at most
Exact = Callable[[Ints, Ints], Floats]


class TopPairs:
    """The ``keep`` highest similarities of the pairs offered.

    bound: scores below it cannot matter and need not be offered.
    certain: false if so many pairs tie at the bound that some of them were dropped; the values
    kept are then right to float32's precision.
    """

    def __init__(self, keep: int, doubt: float) -> None:
        self.keep = keep
        self.bound = -np.inf
        self.certain = True
        self._doubt = doubt
        self._scores: list[Floats32] = []
        self._rows: list[NDArray[np.int32]] = []
        self._columns: list[NDArray[np.int32]] = []
        self._count = 0

    def offer(self, rows: Ints, columns: Ints, scores: Floats32) -> None:
        """Takes pairs by row and column number, with their similarities, [n] each."""
        self._scores.append(scores)
        self._rows.append(rows.astype(np.int32))
        self._columns.append(columns.astype(np.int32))
        self._count += len(scores)
        if self._count > 2 * self.keep + ROOM:
            self._clear()

    def _clear(self) -> None:
        scores = np.concatenate(self._scores) if self._scores else np.zeros(0, np.float32)
        rows = np.concatenate(self._rows) if self._rows else np.zeros(0, np.int32)
        columns = np.concatenate(self._columns) if self._columns else np.zeros(0, np.int32)
        if len(scores) > self.keep:
            lowest = np.partition(scores, -self.keep)[-self.keep]
            self.bound = float(lowest) - 2 * self._doubt
            stay = np.flatnonzero(scores >= self.bound)
            if len(stay) > self.keep + ROOM:
                stay = np.argpartition(scores, -self.keep)[-self.keep :]
                self.certain = False
            scores, rows, columns = scores[stay], rows[stay], columns[stay]
        self._scores, self._rows, self._columns = [scores], [rows], [columns]
        self._count = len(scores)

    def sorted(self, exact: Exact, ranks: list[int]) -> tuple[Floats, Ints, Ints]:
        """Similarities, rows and columns in falling order.

        ranks: places (from 0) whose value must be that of float64; everything that might stand
        there is computed again by ``exact(rows, columns)``.
        """
        self._clear()
        scores = self._scores[0].astype(np.float64)
        rows, columns = self._rows[0].astype(np.int64), self._columns[0].astype(np.int64)
        falling = np.sort(scores)[::-1]
        doubtful = np.zeros(len(scores), bool)
        for rank in ranks if self.certain else []:
            if rank < len(falling):
                doubtful |= np.abs(scores - falling[rank]) <= 2 * self._doubt
        again = np.flatnonzero(doubtful)
        scores[again] = exact(rows[again], columns[again])
        order = np.argsort(-scores, kind="stable")
        return scores[order], rows[order], columns[order]

    def count_above(self, score: float) -> tuple[int, bool]:
        """How many kept pairs are at least so similar, and whether there can be no more."""
        self._clear()
        count = int((self._scores[0] >= score).sum())
        return count, count < self.keep or len(self._scores[0]) < self.keep

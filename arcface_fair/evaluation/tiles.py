# SPDX-License-Identifier: MIT
"""Similarities of all pairs, one tile at a time: which of them reach a bound.

N rows, D embedding size, T rows per tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Tile = tuple[slice, slice]


class Product(Protocol):
    """Finds, in one tile of the matrix of similarities, those that reach a bound."""

    def above(self, tile: Tile, bound: float) -> tuple[Ints, Ints, Floats32]:
        """Row numbers, column numbers (of the whole) and similarities, each [n]."""


@dataclass(frozen=True)
class NumpyProduct:
    """The product on the CPU. unit: float32 [N, D]."""

    unit: Floats32

    def above(self, tile: Tile, bound: float) -> tuple[Ints, Ints, Floats32]:
        """See `Product`."""
        rows, columns = tile
        scores = self.unit[rows] @ self.unit[columns].T
        flat = np.flatnonzero(scores.ravel() >= bound)
        a, b = np.divmod(flat, scores.shape[1])
        return a + rows.start, b + columns.start, scores.ravel()[flat]


def upper_tiles(starts: Ints, ends: Ints, size: int) -> Iterator[tuple[int, int, Tile]]:
    """Tiles that cover every unordered pair once: (row section, column section, tile).

    Rows are cut at every section's end, so that a tile lies within two sections. Tiles on the
    diagonal hold each of their pairs twice, and every row with itself.
    """
    blocks = [
        (section, slice(at, min(at + size, end)))
        for section, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
        for at in range(start, end, size)
    ]
    for place, (section, rows) in enumerate(blocks):
        for other, columns in blocks[place:]:
            yield section, other, (rows, columns)

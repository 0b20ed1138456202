# SPDX-License-Identifier: MIT
"""Unit rows of many images, and the similarities of all pairs of them, one tile at a time.

N rows, D embedding size, T rows per tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.verification import Floats

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
    for position, (section, rows) in enumerate(blocks):
        for other, columns in blocks[position:]:
            yield section, other, (rows, columns)


BLOCK = 8192  # rows at a time, so that no second copy of all is made


def _blocks(rows: NDArray) -> Iterator[tuple[slice, NDArray]]:
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        yield part, rows[part]


def unit_rows(rows: NDArray) -> tuple[Floats32, Floats]:
    """Unit rows float32 [N, D] and the former norms float64 [N], 1 for rows that are zero."""
    norms = np.empty(len(rows))
    unit = np.empty(rows.shape, np.float32)
    for part, some in _blocks(rows):
        exact = some.astype(np.float64)
        length = np.sqrt(np.einsum("ij,ij->i", exact, exact))
        norms[part] = np.where(length > 0, length, 1.0)
        unit[part] = exact / norms[part, None]
    return unit, norms


def zero_rows_in_words(rows: NDArray) -> tuple[str, ...]:
    """A sentence if embeddings are zero; no sentence otherwise."""
    zero = sum(int((~some.any(1)).sum()) for _, some in _blocks(rows))
    if not zero:
        return ()
    return (f"{zero} of {len(rows)} embeddings are zero; their similarity to everybody is 0",)


def check_images(rows: NDArray, who: NDArray, words: NDArray, fprs: Sequence[float]) -> None:
    """Raises UserError unless embeddings, identities, groups and rates can be judged."""
    if rows.ndim != 2 or not rows.size or len(rows) != len(who) or len(rows) != len(words):
        raise UserError(
            f"embeddings of shape {rows.shape}, {len(who)} identities and {len(words)} groups do "
            "not fit together; give [images, embedding size] and one of each per image"
        )
    bad = [part.start + np.flatnonzero(~np.isfinite(some).all(1)) for part, some in _blocks(rows)]
    count = sum(len(places) for places in bad)
    if count:
        raise UserError(
            f"{count} of {len(rows)} embeddings hold NaN or infinity, the first of image "
            f"{np.concatenate(bad)[0]}; the network has probably diverged, use an earlier one"
        )
    if not fprs or any(not 0 < fpr < 1 for fpr in fprs):
        raise UserError(f"false positive rates are {tuple(fprs)}; each must lie between 0 and 1")

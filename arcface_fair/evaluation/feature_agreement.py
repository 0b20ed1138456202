# SPDX-License-Identifier: MIT
"""How far two models agree on the same faces: feature by feature, and in what they find alike.

N faces, D and E the models' embedding sizes. Two exports of one model share one space, so their
features are compared directly. Two trainings do not (a space may be rotated at will), but the
cosine of two faces means the same in both, so pairs of faces are compared as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError

MOST_PAIRS = 200_000


@dataclass(frozen=True)
class Agreement:
    """Figures of one group of faces; None where there is nothing to compute them from.

    cosine_mean, cosine_min: of one face's two embeddings, -1..1; 1 is equal direction. None if the
        embedding sizes differ.
    change_mean, change_max: of the cosine of two faces from the first model to the second, as an
        absolute difference, 0..2. None for fewer than two faces.
    correlation: of the two models' cosines over the pairs, -1..1.
    shift: mean cosine of pairs in the second model minus that in the first: above 0 the group's
        faces have moved towards each other.
    """

    faces: int
    cosine_mean: float | None
    cosine_min: float | None
    change_mean: float | None
    change_max: float | None
    correlation: float | None
    shift: float | None


def agreement(first_ND: NDArray[np.floating], second_NE: NDArray[np.floating]) -> Agreement:
    """Figures of one group from its embeddings by both models, in the same order of faces.

    All pairs are taken up to 200,000, else as many at random, the same ones at every call.
    Raises UserError for embeddings of other numbers of faces, not finite or of length zero.
    """
    if len(first_ND) != len(second_NE) or not len(first_ND):
        raise UserError(
            f"the models gave {len(first_ND)} and {len(second_NE)} embeddings; "
            "give both the same faces, at least one"
        )
    first, second = _unit(first_ND), _unit(second_NE)
    same_space = first.shape == second.shape
    own = (first * second).sum(1) if same_space else None
    left, right = _pairs(len(first))
    a = (first[left] * first[right]).sum(1)
    b = (second[left] * second[right]).sum(1)
    change = np.abs(a - b)
    some = len(a) > 0
    spread = some and a.std() > 0 and b.std() > 0
    return Agreement(
        faces=len(first),
        cosine_mean=None if own is None else float(own.mean()),
        cosine_min=None if own is None else float(own.min()),
        change_mean=float(change.mean()) if some else None,
        change_max=float(change.max()) if some else None,
        correlation=float(np.corrcoef(a, b)[0, 1]) if spread else None,
        shift=float((b - a).mean()) if some else None,
    )


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise UserError(
            "a model gives embeddings that are not finite or zero; export another checkpoint"
        )
    return rows / lengths


def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if count * (count - 1) // 2 <= MOST_PAIRS:
        left, right = np.triu_indices(count, 1)
        return left.astype(np.int64), right.astype(np.int64)
    random = np.random.default_rng(0)
    left = random.integers(0, count, MOST_PAIRS)
    return left, (left + random.integers(1, count, MOST_PAIRS)) % count

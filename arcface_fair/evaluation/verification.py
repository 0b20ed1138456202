# SPDX-License-Identifier: MIT
"""Same person or not: accuracy of pairs at thresholds chosen on the other folds.

The protocol is that of LFW's restricted view as arcface_torch computes it: embeddings with the
flip added are normalised, a pair's distance is the squared Euclidean one (0..4), ten folds in the
order of the pairs, and each fold is judged at the grid threshold that is best on the other nine.

P pairs, D embedding size, F folds, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arcface_fair.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS = 10
ACCURACY_GRID = np.arange(0, 4, 0.01)
RATE_GRID = np.arange(0, 4, 0.001)


@dataclass(frozen=True)
class TenFold:
    """Accuracies 0..1 of one verification set.

    accuracy: mean over the folds. std: their standard deviation (ddof 0).
    fold_accuracy, fold_threshold: [F]; a pair is accepted if its distance is below the threshold.
    correct: bool [P], whether each pair was judged rightly in its own fold.
    """

    accuracy: float
    std: float
    fold_accuracy: Floats
    fold_threshold: Floats
    correct: Bools


@dataclass(frozen=True)
class ValidationRate:
    """Mean over the folds of the true accept rate `val` and the false accept rate `far`, 0..1."""

    val: float
    std: float
    far: float


def squared_distances(embeddings_a: ArrayLike, embeddings_b: ArrayLike) -> Floats:
    """Squared Euclidean distance [P] of the normalised rows of two arrays [P, D], 0..4.

    A row whose norm is zero stays zero, as with scikit-learn's `normalize`. Raises UserError for
    shapes that differ and for values that are not finite.
    """
    a, b = np.asarray(embeddings_a, np.float64), np.asarray(embeddings_b, np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise UserError(
            f"embeddings of a pair's two sides have shapes {a.shape} and {b.shape}; "
            "expected two equal shapes [pairs, embedding size]"
        )
    bad = np.flatnonzero(~(np.isfinite(a).all(1) & np.isfinite(b).all(1)))
    if bad.size:
        raise UserError(
            f"embeddings of {bad.size} of {len(a)} pairs hold NaN or infinity, the first in pair "
            f"{bad[0]}; the network has probably diverged, use an earlier checkpoint"
        )
    return np.square(_normalised(a) - _normalised(b)).sum(1)


def _normalised(rows: Floats) -> Floats:
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    norms[norms < 10 * np.finfo(np.float64).eps] = 1.0
    return rows / norms[:, None]


def ten_fold(embeddings_a: ArrayLike, embeddings_b: ArrayLike, same: ArrayLike) -> TenFold:
    """10-fold accuracy of P pairs: embeddings [P, D] of both sides and bool [P].

    Raises UserError for fewer pairs than folds, pairs of one kind only, or unusable embeddings.
    """
    return ten_fold_of_distances(squared_distances(embeddings_a, embeddings_b), same)


def ten_fold_of_distances(distances: ArrayLike, same: ArrayLike) -> TenFold:
    """10-fold accuracy of P pairs from their distances [P] (0..4) and bool [P]."""
    distance, is_same = checked_pairs(distances, same)
    fold = fold_of_pair(len(distance))
    accepted_same, accepted_other = _accepted(distance, is_same, fold, ACCURACY_GRID)
    others = np.bincount(fold[~is_same], minlength=FOLDS)
    correct = accepted_same + (others[:, None] - accepted_other)
    # argmax takes the first of equals, so the smallest of the best thresholds.
    best = np.argmax(correct.sum(0) - correct, axis=1)
    thresholds = ACCURACY_GRID[best]
    accuracies = correct[np.arange(FOLDS), best] / np.bincount(fold, minlength=FOLDS)
    return TenFold(
        accuracy=float(accuracies.mean()),
        std=float(accuracies.std()),
        fold_accuracy=accuracies,
        fold_threshold=thresholds,
        correct=(distance < thresholds[fold]) == is_same,
    )


def validation_rate(distances: ArrayLike, same: ArrayLike, far: float = 1e-3) -> ValidationRate:
    """True accept rate where the other nine folds' false accept rate is `far`.

    arcface_torch interpolates the threshold linearly over the whole curve of false accept rates
    on a grid of 0.001; the curve is a staircase, and with its repeated values the interpolation
    is undefined (SciPy >= 1.10 refuses it). Here the threshold lies between the last grid point
    whose rate is at most `far` and the next one, by linear interpolation between the two; where
    the curve has no repeated values this is the same number. If even the largest threshold does
    not reach `far`, nothing is accepted, as there.
    """
    distance, is_same = checked_pairs(distances, same)
    fold = fold_of_pair(len(distance))
    _, accepted = _accepted(distance, is_same, fold, RATE_GRID)
    others = np.bincount(fold[~is_same], minlength=FOLDS)
    rates = np.empty((FOLDS, 2))
    for number in range(FOLDS):
        trained_on = max(others.sum() - others[number], 1)
        curve = (accepted.sum(0) - accepted[number]) / trained_on
        inside = distance < threshold_at(curve, far)
        held_out = fold == number
        rates[number] = _mean(inside[held_out & is_same]), _mean(inside[held_out & ~is_same])
    # A fold without pairs of one kind has no rate of that kind; it is left out of the mean.
    return ValidationRate(
        val=float(np.nanmean(rates[:, 0])),
        std=float(np.nanstd(rates[:, 0])),
        far=float(np.nanmean(rates[:, 1])),
    )


def threshold_at(curve: Floats, far: float, grid: Floats = RATE_GRID) -> float:
    """Where the rising staircase ``curve`` [T] over ``grid`` [T] passes the rate ``far``."""
    if curve[-1] < far:
        return 0.0
    last = int(np.searchsorted(curve, far, side="right")) - 1
    if last + 1 == len(curve):
        return float(grid[last])
    share = (far - curve[last]) / (curve[last + 1] - curve[last])
    return float(grid[last] + share * (grid[last + 1] - grid[last]))


def _mean(values: Bools) -> float:
    return float(values.mean()) if values.size else float("nan")


def tpr_at_fpr(distances: ArrayLike, same: ArrayLike, fpr: float) -> float:
    """Share of same pairs accepted at the largest threshold whose false positive rate is <= fpr.

    The threshold is exact, not from a grid: the distance of an impostor pair itself, which is
    then refused. NaN if there are too few impostors to resolve `fpr` (fewer than 1 / fpr).
    """
    distance, is_same = checked_pairs(distances, same)
    impostors = np.sort(distance[~is_same])
    # The small addend keeps 0.01 * 300, which is 2.9999..., at three impostors.
    allowed = int(np.floor(fpr * len(impostors) + 1e-9))
    if allowed < 1:
        return float("nan")
    if allowed >= len(impostors):
        return 1.0
    return float((distance[is_same] < impostors[allowed]).mean())


def fold_of_pair(pairs: int) -> NDArray[np.int64]:
    """The fold of each pair in order; the first `pairs % 10` folds hold one pair more."""
    size, extra = divmod(pairs, FOLDS)
    return np.repeat(np.arange(FOLDS), size + (np.arange(FOLDS) < extra))


def checked_pairs(distances: ArrayLike, same: ArrayLike) -> tuple[Floats, Bools]:
    """Distances [P] and bool [P] as arrays. Raises UserError if 10 folds cannot be judged."""
    distance, is_same = np.asarray(distances, np.float64), np.asarray(same, bool)
    if distance.ndim != 1 or distance.shape != is_same.shape:
        raise UserError(
            f"distances have shape {distance.shape} and same-or-not {is_same.shape}; "
            "expected one of each per pair"
        )
    if len(distance) < FOLDS:
        raise UserError(f"{len(distance)} pairs cannot make {FOLDS} folds; give more pairs")
    if is_same.all() or not is_same.any():
        kind = "different people" if is_same.all() else "one person"
        raise UserError(
            f"none of the {len(distance)} pairs shows {kind}; a threshold needs pairs of both "
            "kinds, check how the set was made"
        )
    return distance, is_same


def _accepted(
    distance: Floats, is_same: Bools, fold: NDArray[np.int64], grid: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of same and of other pairs below each threshold, [F, T] each."""
    # side="right": the first grid point above the distance, where the pair is first accepted.
    first = np.searchsorted(grid, distance, side="right")
    counts = np.zeros((2, FOLDS, len(grid) + 1), np.int64)
    np.add.at(counts, (is_same.astype(int), fold, first), 1)
    other, same = counts.cumsum(2)[:, :, :-1]
    return same, other

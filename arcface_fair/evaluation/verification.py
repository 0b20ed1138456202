# SPDX-License-Identifier: MIT
"""Same person or not: accuracy of pairs at thresholds chosen on the other folds.

The protocol is that of LFW's restricted view as arcface_torch computes it: embeddings with the
flip added are normalised, a pair's distance is the squared Euclidean one (0..4), ten folds in the
order of the pairs, and each fold is judged at the grid threshold that is best on the other nine.

There is one engine, for B weightings of the pairs at once, which is what a bootstrap asks for; the
plain figures are those of ones. Weights are float64 [B, P], not negative. P pairs, D embedding
size, F folds, T thresholds.
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
    (accuracies,), (best,) = fold_accuracies(distance, is_same, np.ones((1, len(distance))))
    thresholds = ACCURACY_GRID[best]
    return TenFold(
        accuracy=float(accuracies.mean()),
        std=float(accuracies.std()),
        fold_accuracy=accuracies,
        fold_threshold=thresholds,
        correct=(distance < thresholds[fold]) == is_same,
    )


def threshold_at(curve: Floats, far: float, grid: Floats) -> float:
    """Where the rising staircase ``curve`` [T] over ``grid`` [T] passes the rate ``far``.

    arcface_torch interpolates the threshold linearly over the whole curve of false accept rates;
    with its repeated values that is undefined (SciPy >= 1.10 refuses it). Here the threshold lies
    between the last grid point whose rate is at most ``far`` and the next one, by linear
    interpolation between the two; without repeated values this is the same number. 0, so that
    nothing is accepted, if even the largest threshold does not reach ``far``, as there.
    """
    if curve[-1] < far:
        return 0.0
    last = int(np.searchsorted(curve, far, side="right")) - 1
    if last + 1 == len(curve):
        return float(grid[last])
    share = (far - curve[last]) / (curve[last + 1] - curve[last])
    return float(grid[last] + share * (grid[last + 1] - grid[last]))


def tpr_at_fpr(distances: ArrayLike, same: ArrayLike, fpr: float) -> float:
    """Share of same pairs accepted at the largest threshold whose false positive rate is <= fpr.

    The threshold is exact, not from a grid: the distance of an impostor pair itself, which is
    then refused. NaN if there are too few impostors to resolve `fpr` (fewer than 1 / fpr).
    """
    distance, is_same = checked_pairs(distances, same)
    return float(weighted_tpr(distance, is_same, np.ones((1, len(distance))), fpr)[0])


def fold_accuracies(
    distances: Floats, same: Bools, weights: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Accuracy of every fold, [B, F], and the place of its threshold in the grid, [B, F].

    Thresholds are chosen anew in every weighting, the smallest of equals. NaN: a fold of no weight.
    """
    steps = len(ACCURACY_GRID) + 1
    # side="right": the first grid point above the distance, where the pair is first accepted.
    first = np.searchsorted(ACCURACY_GRID, distances, side="right")
    cell = (same.astype(np.int64) * FOLDS + fold_of_pair(len(distances))) * steps + first
    cells = 2 * FOLDS * steps
    counts = np.stack([np.bincount(cell, row, minlength=cells) for row in weights])
    below = counts.reshape(-1, 2, FOLDS, steps).cumsum(3)
    others, genuine = below[:, 0, :, -1:], below[:, 1, :, -1:]
    correct = below[:, 1, :, :-1] + (others - below[:, 0, :, :-1])
    best = np.argmax(correct.sum(1, keepdims=True) - correct, axis=2)[..., None]
    with np.errstate(invalid="ignore"):
        accuracy = np.take_along_axis(correct, best, 2) / (others + genuine)
    return accuracy[..., 0], best[..., 0]


def weighted_ten_fold(distances: Floats, same: Bools, weights: Floats) -> Floats:
    """10-fold accuracy [B]: each fold at the grid threshold best on the other nine, weighted.

    Folds without weight are left out.
    """
    return np.nanmean(fold_accuracies(distances, same, weights)[0], axis=1)


def weighted_tpr(distances: Floats, same: Bools, weights: Floats, fpr: float) -> Floats:
    """TPR [B], each at the largest threshold that accepts at most ``fpr`` of the impostors."""
    other = ~same
    if too_few(int(other.sum()), fpr):
        return np.full(len(weights), np.nan)
    thresholds = weighted_threshold(distances[other], weights[:, other], fpr)
    return weighted_share(distances[same], weights[:, same], thresholds)


def too_few(impostors: int, rate: float) -> bool:
    """Whether so few impostor pairs cannot say at which threshold ``rate`` of them passes."""
    return impostors * rate < 1 - 1e-9


def weighted_threshold(impostor_distances: Floats, weights: Floats, rate: float) -> Floats:
    """Largest thresholds [B] at which at most ``rate`` of the impostors' weight is accepted.

    It is the distance of an impostor itself, which is then refused, so that ties are refused
    together (as in scikit-learn's ROC curve). Infinite where all may be accepted.
    """
    order = np.argsort(impostor_distances, kind="stable")
    running = weights[:, order].cumsum(1)
    # The small addend keeps 0.01 * 300, which is 2.9999..., at three impostors.
    accepted = (running <= rate * running[:, -1:] * (1 + 1e-12) + 1e-9).sum(1)
    return np.append(impostor_distances[order], np.inf)[accepted]


def weighted_share(distances: Floats, weights: Floats, thresholds: Floats) -> Floats:
    """Share [B] of the weight of pairs whose distance is below ``thresholds`` [B]."""
    with np.errstate(invalid="ignore"):
        inside = (distances < thresholds[:, None]) * weights
        return inside.sum(1) / weights.sum(1)


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

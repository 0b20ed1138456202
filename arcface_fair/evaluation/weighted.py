# SPDX-License-Identifier: MIT
"""Figures of weighted pairs, many weightings at once: what a bootstrap asks of every protocol.

B weightings, P pairs, F folds, T thresholds. Weights are float64 [B, P], not negative; ones give
the plain figures. A pair is accepted if its distance is below the threshold.
"""

from __future__ import annotations

import numpy as np

from arcface_fair.evaluation.verification import ACCURACY_GRID, FOLDS, Bools, Floats, fold_of_pair


def weighted_ten_fold(distances: Floats, same: Bools, weights: Floats) -> Floats:
    """10-fold accuracy [B]: each fold at the grid threshold best on the other nine, weighted.

    Thresholds are chosen anew in every weighting. Folds without weight are left out.
    """
    steps = len(ACCURACY_GRID) + 1
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
    return np.nanmean(accuracy[..., 0], axis=1)


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

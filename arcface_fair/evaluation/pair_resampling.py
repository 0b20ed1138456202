# SPDX-License-Identifier: MIT
"""Intervals for TPR at an FPR over all pairs, from the highest impostors alone.

The same bootstrap over people as in `resampling`: a genuine pair of a person of weight w
weighs w, an impostor pair w_a * w_b, and the threshold is chosen anew. Only the highest impostors
are needed, because the weight of all of them follows from the people's numbers of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arcface_fair.evaluation.genuine import GenuinePairs
from arcface_fair.evaluation.resampling import STEP, Estimate, clipped, interval
from arcface_fair.evaluation.tiles import Ints
from arcface_fair.evaluation.verification import Floats


@dataclass(frozen=True)
class Impostors:
    """The highest impostors, falling. left, right: people of either side. total: of all pairs.

    sizes: images by person, which with ``total`` stands for the impostors that were not kept.
    """

    scores: Floats
    left: Ints
    right: Ints
    total: int
    sizes: Ints


def rate_estimates(
    impostors: Impostors,
    genuine: GenuinePairs,
    fprs: Sequence[float],
    resamples: int,
    level: float,
    seed: int,
) -> dict[float, Estimate]:
    """TPR at each FPR with its interval (NaN ends for no resamples)."""
    if not fprs:
        return {}
    order = np.argsort(-genuine.scores, kind="stable")
    falling, who = genuine.scores[order], genuine.people[order]
    plain = np.ones(len(impostors.scores)), np.ones(len(falling))
    value = _tprs(impostors.scores, falling, *plain, impostors.total, impostors.total, fprs)
    people, pairs = np.empty((2, resamples, len(fprs)), np.float64)
    rng = np.random.default_rng(seed)
    present = np.flatnonzero(impostors.sizes)
    for number in range(resamples):
        drawn: Floats = np.zeros(len(impostors.sizes))
        chosen = rng.integers(len(present), size=len(present))
        drawn[present] = 1 + STEP * (np.bincount(chosen, minlength=len(present)) - 1.0)
        images: Floats = drawn * impostors.sizes
        total = float((images.sum() ** 2 - (images**2).sum()) / 2)
        people[number] = _tprs(
            impostors.scores, falling, drawn[impostors.left] * drawn[impostors.right], drawn[who],
            total, impostors.total, fprs,
        )  # fmt: skip
        luck = 1 + STEP * (rng.poisson(1.0, len(impostors.scores)).astype(np.float64) - 1.0)
        pairs[number] = _tprs(
            impostors.scores, falling, luck, plain[1], impostors.total, impostors.total, fprs
        )
    if not resamples:
        return {f: Estimate(float(v), np.nan, np.nan) for f, v in zip(fprs, value, strict=True)}
    return {
        fpr: clipped(
            interval(float(value[place]), people[:, place], pairs[:, place], level), 0.0, 1.0
        )
        for place, fpr in enumerate(fprs)
    }


def _tprs(
    scores: Floats,
    genuine: Floats,
    impostor_weight: Floats,
    genuine_weight: Floats,
    weight_of_all: float,
    count_of_all: int,
    fprs: Sequence[float],
) -> Floats:
    """TPR at each FPR, weighted; both score arrays fall."""
    accepted = np.searchsorted(
        impostor_weight.cumsum(), np.array(fprs) * weight_of_all * (1 + 1e-12) + 1e-9, side="right"
    )
    # Beyond the kept ones nothing is known, except that there is nothing if all were kept.
    beyond = -np.inf if len(scores) == count_of_all else scores[-1]
    limits = np.append(scores, beyond)[accepted]
    running = np.append(0.0, genuine_weight.cumsum())
    above = np.searchsorted(-genuine, -limits, side="left")
    return running[above] / running[-1] if running[-1] > 0 else np.full(len(fprs), np.nan)

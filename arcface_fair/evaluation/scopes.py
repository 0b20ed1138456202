# SPDX-License-Identifier: MIT
"""One group, or everybody, in the protocol of all pairs: what to keep, metrics, intervals.

The same bootstrap over people as in `resampling`: a genuine pair of a person of weight w
weighs w, an impostor pair w_a * w_b, and the threshold is chosen anew. Only the highest impostors
are needed, because the weight of all of them follows from the people's numbers of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arcface_fair.evaluation.kept_pairs import Exact, GenuinePairs, TopPairs
from arcface_fair.evaluation.metrics import DECIDING, explain_too_few
from arcface_fair.evaluation.resampling import STEP, Estimate, clipped, drawn_weights, interval
from arcface_fair.evaluation.tiles import Ints
from arcface_fair.evaluation.verification import Floats, too_few


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
        drawn[present] = drawn_weights(len(present), rng)
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
        fpr: clipped(interval(float(value[at]), people[:, at], pairs[:, at], level), 0.0, 1.0)
        for at, fpr in enumerate(fprs)
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


TWIN = 1e-6  # cosines this near to 1 are one image, or two that the model takes for one


@dataclass(frozen=True)
class Rate:
    """TPR at one FPR. accepted: impostor pairs above ``threshold`` (a cosine; NaN if unknown).

    note: what to know about the figure, in words; empty if nothing.
    """

    fpr: float
    tpr: Estimate
    threshold: float
    accepted: int
    note: str = ""


@dataclass(frozen=True)
class Scope:
    """One group, or all. curve: FPR and TPR [2, n], rising, as far as the kept pairs reach."""

    name: str
    images: int
    people: int
    genuine: int
    impostor: int
    rates: tuple[Rate, ...]
    curve: Floats


class Plan:
    """What one scope has to keep while pairs stream by, and its figures afterwards.

    images: numbers of its images. people: codes 0..n-1 by image, of all images. doubt: the
    largest error of a similarity offered to ``top``.
    """

    def __init__(
        self, name: str, images: Ints, people: Ints, fprs: Sequence[float], doubt: float
    ) -> None:
        counts = np.bincount(people[images])
        self.name, self.images = name, len(images)
        self.sizes = counts
        self.genuine = int((counts * (counts - 1) // 2).sum())
        self.impostor = len(images) * (len(images) - 1) // 2 - self.genuine
        self.fprs = tuple(fprs)
        # The small addend keeps 0.01 * 300, which is 2.9999..., at three impostors.
        self.allowed = [int(np.floor(fpr * self.impostor + 1e-9)) for fpr in fprs]
        # Twice as many as the threshold needs: resamples look beyond it.
        self.keep = min(2 * max(self.allowed, default=0) + 100, max(self.impostor, 1))
        self.top = TopPairs(self.keep, doubt)

    def judge(
        self,
        genuine: GenuinePairs,
        people: Ints,
        exact: Exact,
        draws: tuple[int, float, int],
    ) -> Scope:
        """The scope's figures. draws: resamples, level and seed of the intervals."""
        scores, rows, columns = self.top.sorted(exact, self.allowed)
        impostors = Impostors(scores, people[rows], people[columns], self.impostor, self.sizes)
        usable = [f for f in self.fprs if genuine.scores.size and not too_few(self.impostor, f)]
        estimates = rate_estimates(impostors, genuine, usable, *draws)
        rates = []
        for fpr, allowed in zip(self.fprs, self.allowed, strict=True):
            if fpr in usable:
                above = (
                    int((scores > scores[allowed]).sum()) if allowed < len(scores) else len(scores)
                )
                limit = float(scores[allowed]) if allowed < len(scores) else -np.inf
                rates.append(Rate(fpr, estimates[fpr], limit, above, _caveat(allowed, self.top)))
            else:
                why = (
                    explain_too_few(self.impostor, fpr)
                    if genuine.scores.size
                    else "no genuine pairs"
                )
                rates.append(Rate(fpr, Estimate(np.nan, np.nan, np.nan), np.nan, 0, why))
        present = int((self.sizes > 0).sum())
        return Scope(self.name, self.images, present, self.genuine, self.impostor, tuple(rates),
                     _curve(scores, genuine.scores, self.impostor))  # fmt: skip

    def twins_in_words(self) -> tuple[str, ...]:
        """A sentence if different people have the same embedding; no sentence otherwise."""
        twins, all_counted = self.top.count_above(1 - TWIN)
        if not twins:
            return ()
        count = f"{twins}" if all_counted else f"{twins} or more"
        return (
            f"{count} pairs of different people have the same embedding: an image under two names, "
            "or a model that has collapsed",
        )


def _caveat(allowed: int, top: TopPairs) -> str:
    if not top.certain:
        return "very many impostors tie at the threshold, which is exact to float32 only"
    if allowed < DECIDING:
        return f"{allowed} impostor pairs decide the threshold"
    return ""


def _curve(impostors: Floats, genuine: Floats, total: int) -> Floats:
    if not len(impostors) or not len(genuine):
        return np.zeros((2, 0))
    ranks = np.unique(np.geomspace(1, len(impostors), 60).astype(int)) - 1
    accepted = len(genuine) - np.searchsorted(np.sort(genuine), impostors[ranks], side="right")
    return np.stack([ranks / total, accepted / len(genuine)])


def rounding_doubt(dimension: int) -> float:
    """Largest error of a float32 product of unit rows: D + 2 roundings of 2^-24 each."""
    return (dimension + 2) * 2.0**-24

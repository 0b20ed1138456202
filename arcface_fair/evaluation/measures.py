# SPDX-License-Identifier: MIT
"""Every figure of one model over all groups, by name, for one or many weightings of the pairs.

B weightings, G groups. Names: ``accuracy/GROUP``, ``tpr@0.01/GROUP``, ``fmr/GROUP``,
``fnmr/GROUP``, and those of the whole: `SUMMARY`. All rates are 0..1.

- accuracy and TPR: each group at its own threshold, as in the papers' tables.
- FMR and FNMR: all groups at one threshold, the one at which `Protocol.fmr` of all groups'
  impostor pairs together are accepted; that is what one deployed system does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation import differentials
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.verification import (
    Floats,
    too_few,
    weighted_share,
    weighted_ten_fold,
    weighted_threshold,
    weighted_tpr,
)

# What follows from all groups together, and whether more (+1) or less (-1) of it is better.
SUMMARY = {
    "mean accuracy": 1,
    "worst accuracy": 1,
    "STD n": -1,
    "STD n-1": -1,
    "SER": -1,
    "threshold": 0,
    "FMR max/min": -1,
    "FMR max/geomean": -1,
    "FNMR max/min": -1,
    "FNMR max/geomean": -1,
    "FDR": 1,
    "GARBE": -1,
    "inequity rate": -1,
}
RATIOS = frozenset(
    {"SER", "FMR max/min", "FMR max/geomean", "FNMR max/min", "FNMR max/geomean", "inequity rate"}
)
DECIDING = 10  # fewer accepted impostors than this, and their luck decides the threshold


@dataclass(frozen=True)
class Protocol:
    """Operating points. fprs: for TPR, a threshold per group. fmr: for the one threshold of all.

    alpha: weight of FMR against FNMR in FDR, GARBE and the inequity rate.
    """

    fprs: tuple[float, ...] = (1e-2,)
    fmr: float = 1e-2
    alpha: float = 0.5

    def __post_init__(self) -> None:
        for rate in (*self.fprs, self.fmr):
            if not 0 < rate < 1:
                raise UserError(f"a false positive rate is {rate:g}; it must lie between 0 and 1")
        if not 0 <= self.alpha <= 1:
            raise UserError(f"alpha is {self.alpha:g}; it must lie in 0..1, 0.5 weighs both alike")


def measure(
    groups: Mapping[str, Comparisons],
    protocol: Protocol | None = None,
    weights: Mapping[str, Floats] | None = None,
) -> dict[str, Floats]:
    """All figures by name, [B] each (B = 1 without ``weights``, which are [B, P] by group).

    What the data cannot resolve is NaN: a TPR with fewer impostors than 1 / FPR in the group,
    rates at the one threshold with fewer than 1 / FMR in all, spreads of a single group.
    """
    protocol = protocol or Protocol()
    if not groups:
        raise UserError("there is no group to judge; give at least one verification set")
    if weights is None:
        weights = {name: np.ones((1, len(group.same))) for name, group in groups.items()}
    found: dict[str, Floats] = {}
    for name, group in groups.items():
        pairs = group.distances, group.same, weights[name]
        found[f"accuracy/{name}"] = weighted_ten_fold(*pairs)
        for fpr in protocol.fprs:
            found[f"tpr@{fpr:g}/{name}"] = weighted_tpr(
                group.distances, group.same, weights[name], fpr
            )
    found |= _at_one_threshold(groups, protocol, weights)
    return found | _of_accuracy(found, list(groups)) | _of_rates(found, list(groups), protocol)


def explain_too_few(impostors: int, rate: float) -> str:
    """Why a figure is missing, in words."""
    return (
        f"too few impostors for this FPR: {impostors} pairs, {rate:g} needs at least {1 / rate:.0f}"
    )


def _at_one_threshold(
    groups: Mapping[str, Comparisons], protocol: Protocol, weights: Mapping[str, Floats]
) -> dict[str, Floats]:
    impostors = np.concatenate([g.distances[~g.same] for g in groups.values()])
    pooled = np.concatenate([weights[name][:, ~g.same] for name, g in groups.items()], axis=1)
    if too_few(len(impostors), protocol.fmr):
        nothing = np.full(len(pooled), np.nan)
        names = [f"{rate}/{name}" for rate in ("fmr", "fnmr") for name in groups]
        return dict.fromkeys((*names, "threshold"), nothing)
    limits = weighted_threshold(impostors, pooled, protocol.fmr)
    found = {"threshold": 1 - limits / 2}
    for name, group in groups.items():
        other, weight = ~group.same, weights[name]
        found[f"fmr/{name}"] = weighted_share(group.distances[other], weight[:, other], limits)
        accepted = weighted_share(group.distances[group.same], weight[:, group.same], limits)
        found[f"fnmr/{name}"] = 1 - accepted
    return found


def _of_accuracy(found: Mapping[str, Floats], names: list[str]) -> dict[str, Floats]:
    accuracies = np.stack([found[f"accuracy/{name}"] for name in names], axis=-1)
    several = len(names) > 1
    nothing = np.full(len(accuracies), np.nan)
    ser = differentials.skewed_error_ratio(accuracies)
    return {
        "mean accuracy": accuracies.mean(-1),
        "worst accuracy": accuracies.min(-1),
        "STD n": accuracies.std(-1) if several else nothing,
        "STD n-1": accuracies.std(-1, ddof=1) if several else nothing,
        "SER": ser if several else nothing,
    }


def _of_rates(
    found: Mapping[str, Floats], names: list[str], protocol: Protocol
) -> dict[str, Floats]:
    fmr, fnmr = (np.stack([found[f"{r}/{n}"] for n in names], axis=-1) for r in ("fmr", "fnmr"))
    of_whole: dict[str, Floats] = {}
    for fpr in protocol.fprs:
        rates = np.stack([found[f"tpr@{fpr:g}/{name}"] for name in names], axis=-1)
        of_whole[f"mean tpr@{fpr:g}"] = rates.mean(-1)
        of_whole[f"worst tpr@{fpr:g}"] = rates.min(-1)
    spreads = {
        "FMR max/min": differentials.max_min_ratio(fmr),
        "FMR max/geomean": differentials.max_geomean_ratio(fmr),
        "FNMR max/min": differentials.max_min_ratio(fnmr),
        "FNMR max/geomean": differentials.max_geomean_ratio(fnmr),
        "FDR": differentials.fairness_discrepancy_rate(fmr, fnmr, protocol.alpha),
        "GARBE": differentials.garbe(fmr, fnmr, protocol.alpha),
        "inequity rate": differentials.inequity_rate(fmr, fnmr, protocol.alpha),
    }
    if len(names) == 1:
        spreads = {name: np.full_like(values, np.nan) for name, values in spreads.items()}
    return of_whole | spreads


def domain(name: str) -> tuple[float, float]:
    """Smallest and largest value that the figure can have."""
    if name in ("STD n", "STD n-1"):
        return 0.0, np.inf
    if name == "threshold":
        return -1.0, 1.0
    return (1.0, np.inf) if name in RATIOS else (0.0, 1.0)


def better(name: str) -> int:
    """+1 if more of the figure is better, -1 if less is, 0 if neither."""
    if name.startswith(("accuracy/", "tpr@", "mean ", "worst ")):
        return 1
    return -1 if name.startswith(("fmr/", "fnmr/")) else SUMMARY[name]

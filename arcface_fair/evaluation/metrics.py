# SPDX-License-Identifier: MIT
"""The list of metrics, and all of them of one model, for one or many weightings of the pairs.

B weightings, G groups. `METRICS` and `tpr_metric` say what each is; results hold the values by
key: ``accuracy/GROUP``, ``tpr@0.01/GROUP``, ``mean accuracy``. All rates are 0..1.

- accuracy and TPR: each group at its own threshold, as in the papers' tables.
- FMR and FNMR: all groups at one threshold, the one at which `Protocol.fmr` of all groups'
  impostor pairs together are accepted; that is what one deployed system does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

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


@dataclass(frozen=True)
class Metric:
    """What is known of a metric besides its values.

    key: its name in results, ``name/GROUP`` where it is of one ``group``. title: for tables.
    unit: "percent" is stored as a share. direction: +1 if more is better, -1 if less is, 0 if
    neither. domain: smallest and largest possible value.
    """

    key: str
    title: str
    unit: Literal["percent", "ratio", "index", "cosine"]
    direction: int
    domain: tuple[float, float] = (0.0, 1.0)
    name: str = ""
    group: str = ""

    def of(self, group: str) -> Metric:
        """The same metric of one group."""
        return replace(self, key=f"{self.key}/{group}", name=self.key, group=group)

    def shown(self, value: float) -> float:
        """The value as people read it: shares in percent, others as they are."""
        return 100 * value if self.unit == "percent" else value


RATIO = (1.0, np.inf)
METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy", "accuracy", "percent", 1),
        Metric("fmr", "FMR", "percent", -1),
        Metric("fnmr", "FNMR", "percent", -1),
        Metric("mean accuracy", "mean accuracy", "percent", 1),
        Metric("worst accuracy", "worst accuracy", "percent", 1),
        Metric("STD n", "STD n", "percent", -1, (0.0, np.inf)),
        Metric("STD n-1", "STD n-1", "percent", -1, (0.0, np.inf)),
        Metric("SER", "SER", "ratio", -1, RATIO),
        Metric("threshold", "threshold", "cosine", 0, (-1.0, 1.0)),
        Metric("FMR max/min", "FMR max/min", "ratio", -1, RATIO),
        Metric("FMR max/geomean", "FMR max/geomean", "ratio", -1, RATIO),
        Metric("FNMR max/min", "FNMR max/min", "ratio", -1, RATIO),
        Metric("FNMR max/geomean", "FNMR max/geomean", "ratio", -1, RATIO),
        Metric("FDR", "FDR", "index", 1),
        Metric("GARBE", "GARBE", "index", -1),
        Metric("inequity rate", "inequity rate", "ratio", -1, RATIO),
    )
}
BY_GROUP = ("accuracy", "fmr", "fnmr")


def tpr_metric(fpr: float, over_groups: Literal["", "mean ", "worst "] = "") -> Metric:
    """TPR at one FPR: of a group, or its mean or worst over the groups."""
    return Metric(f"{over_groups}tpr@{fpr:g}", f"{over_groups}TPR at FPR {fpr:g}", "percent", 1)


def metrics_of(groups: Iterable[str], protocol: Protocol) -> dict[str, Metric]:
    """Every metric that `measure` gives for these groups, by key."""
    tprs = [tpr_metric(fpr) for fpr in protocol.fprs]
    by_group = [METRICS[name] for name in BY_GROUP] + tprs
    of_all = [metric for metric in METRICS.values() if metric.key not in BY_GROUP]
    of_all += [tpr_metric(fpr, over) for fpr in protocol.fprs for over in OVER_GROUPS]
    every = [metric.of(group) for group in groups for metric in by_group] + of_all
    return {metric.key: metric for metric in every}


OVER_GROUPS: tuple[Literal["mean ", "worst "], ...] = ("mean ", "worst ")
OF_ACCURACIES = ("mean accuracy", "worst accuracy", "STD n", "STD n-1", "SER")


def headline(protocol: Protocol) -> list[str]:
    """Keys of what is said of all groups. STD and SER say how unequal groups are, not how good a
    model is: they stand behind the mean, the worst group and the TPR, in one row, nowhere else.
    """
    tprs = [tpr_metric(protocol.fprs[0], over).key for over in OVER_GROUPS]
    return [*OF_ACCURACIES[:2], *tprs, *OF_ACCURACIES[2:]]


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
    """All metrics by key, [B] each (B = 1 without ``weights``, which are [B, P] by group).

    What the data cannot resolve is NaN: a TPR with fewer impostors than 1 / FPR in the group,
    rates at the one threshold with fewer than 1 / FMR in all, spreads of a single group.
    """
    protocol = protocol or Protocol()
    if not groups:
        raise UserError("there is no group to judge; give at least one verification set")
    if weights is None:
        weights = {name: np.ones((1, len(group.same))) for name, group in groups.items()}
    values: dict[str, Floats] = {}
    for name, group in groups.items():
        pairs = group.distances, group.same, weights[name]
        values[METRICS["accuracy"].of(name).key] = weighted_ten_fold(*pairs)
        for fpr in protocol.fprs:
            values[tpr_metric(fpr).of(name).key] = weighted_tpr(*pairs, fpr)
    values |= _at_one_threshold(groups, protocol, weights)
    accuracies = _stacked(values, METRICS["accuracy"], groups)
    return values | over_accuracies(accuracies) | _over_rates(values, groups, protocol)


def explain_too_few(impostors: int, rate: float) -> str:
    """Why a TPR is missing, in words."""
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
    rates = {"threshold": 1 - limits / 2}
    for name, group in groups.items():
        other, weight = ~group.same, weights[name]
        rates[f"fmr/{name}"] = weighted_share(group.distances[other], weight[:, other], limits)
        accepted = weighted_share(group.distances[group.same], weight[:, group.same], limits)
        rates[f"fnmr/{name}"] = 1 - accepted
    return rates


def _stacked(values: Mapping[str, Floats], metric: Metric, groups: Iterable[str]) -> Floats:
    """One metric of every group, [B, G]."""
    return np.stack([values[metric.of(group).key] for group in groups], axis=-1)


def over_accuracies(accuracies: Floats) -> dict[str, Floats]:
    """What follows from the groups' accuracies [B, G], [B] each; spreads of one group are NaN.

    STD: standard deviation of the groups' accuracies. The papers differ: ddof 0 in the tables of
    INV-REG (ICCV 2023), ddof 1 in those of GABN (arXiv 2304.02284); both are given.
    """
    several = accuracies.shape[-1] > 1
    nothing = np.full(len(accuracies), np.nan)
    ser = differentials.skewed_error_ratio(accuracies)
    return {
        "mean accuracy": accuracies.mean(-1),
        "worst accuracy": accuracies.min(-1),
        "STD n": accuracies.std(-1) if several else nothing,
        "STD n-1": accuracies.std(-1, ddof=1) if several else nothing,
        "SER": ser if several else nothing,
    }


def _over_rates(
    values: Mapping[str, Floats], groups: Collection[str], protocol: Protocol
) -> dict[str, Floats]:
    fmr, fnmr = (_stacked(values, METRICS[rate], groups) for rate in ("fmr", "fnmr"))
    of_whole: dict[str, Floats] = {}
    for fpr in protocol.fprs:
        rates = _stacked(values, tpr_metric(fpr), groups)
        of_whole[tpr_metric(fpr, "mean ").key] = rates.mean(-1)
        of_whole[tpr_metric(fpr, "worst ").key] = rates.min(-1)
    spreads = {
        "FMR max/min": differentials.max_min_ratio(fmr),
        "FMR max/geomean": differentials.max_geomean_ratio(fmr),
        "FNMR max/min": differentials.max_min_ratio(fnmr),
        "FNMR max/geomean": differentials.max_geomean_ratio(fnmr),
        "FDR": differentials.fairness_discrepancy_rate(fmr, fnmr, protocol.alpha),
        "GARBE": differentials.garbe(fmr, fnmr, protocol.alpha),
        "inequity rate": differentials.inequity_rate(fmr, fnmr, protocol.alpha),
    }
    if len(groups) == 1:
        spreads = {key: np.full_like(spread, np.nan) for key, spread in spreads.items()}
    return of_whole | spreads

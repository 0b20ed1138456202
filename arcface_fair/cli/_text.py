# SPDX-License-Identifier: MIT
"""The report for a terminal."""

from __future__ import annotations

import math

from arcface_fair.evaluation.all_pairs import AllPairs
from arcface_fair.evaluation.metrics import METRICS, OVER_GROUPS, Metric, tpr_metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.evaluation.text import text_table
from arcface_fair.report import Report
from arcface_fair.report.content import pair_notes

WHOLE = ("mean accuracy", "worst accuracy", "STD n", "STD n-1", "SER")
SPREADS = ("FMR max/min", "FNMR max/min", "FDR", "GARBE", "inequity rate")


def intervals(report: Report) -> str:
    """The metrics over all groups with their intervals, models below each other."""
    tprs = [tpr_metric(report.protocol.fprs[0], over).key for over in OVER_GROUPS]
    names = [*WHOLE[:2], *tprs, *WHOLE[2:]]
    lines = [
        [model.name, *(_shown(report.metrics[name], model.estimates[name]) for name in names)]
        for model in report.models
    ]
    if report.differences:
        shown = (
            _shown(report.metrics[name], report.differences[name], signed=True) for name in names
        )
        lines.append(["difference", *shown])
    return text_table([f"{report.level:.0%} intervals", *names], lines)


def at_one_threshold(report: Report) -> str:
    """FMR and FNMR per group where `Protocol.fmr` of all impostors are accepted."""
    heads = [f"FMR / FNMR, % at FMR {report.protocol.fmr:g} of all", *report.groups, *SPREADS]
    lines = []
    for model in report.models:
        rates = [
            " / ".join(
                _plain(100 * model.estimates[METRICS[rate].of(group).key].value)
                for rate in ("fmr", "fnmr")
            )
            for group in report.groups
        ]
        lines.append(
            [model.name, *rates, *(_plain(model.estimates[name].value) for name in SPREADS)]
        )
    return text_table(heads, lines) + "\n"


def all_pairs_text(name: str, found: AllPairs) -> str:
    """TPR at each FPR by scope, with counts; notes below."""
    rates = found.scopes[0].rates
    heads = [f"{name}: all pairs", "images", "people", "impostors"]
    heads += [f"TPR, % at {rate.fpr:g}" for rate in rates]
    lines = [
        [scope.name, scope.images, scope.people, scope.impostor,
         *(_shown(tpr_metric(rate.fpr), rate.tpr) for rate in scope.rates)]
        for scope in found.scopes
    ]  # fmt: skip
    said = [f"- {sentence}" for sentence in pair_notes(found)]
    return "\n".join([text_table(heads, lines), *said]) + "\n"


def _shown(metric: Metric, estimate: Estimate, signed: bool = False) -> str:
    scale = 100 if metric.unit == "percent" else 1
    if math.isnan(estimate.value):
        return "-"
    sign = "+" if signed else ""
    text = f"{scale * estimate.value:{sign}.2f}"
    if math.isnan(estimate.low):
        return text
    return f"{text} [{scale * estimate.low:{sign}.2f}, {scale * estimate.high:{sign}.2f}]"


def _plain(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"

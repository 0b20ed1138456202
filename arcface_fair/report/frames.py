# SPDX-License-Identifier: MIT
"""The report's tables as data frames: fairlearn disaggregates, pandas writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcface_fair.evaluation.metrics import tpr_metric
from arcface_fair.report.content import Model, Report
from arcface_fair.report.needs import require


def rates_by_group(model: Model, threshold: float) -> Any:
    """fairlearn's MetricFrame of FMR, FNMR and counts at the cosine ``threshold``, by group.

    A pair counts as a prediction "same" if its cosine is above the threshold, so that FMR is the
    false positive and FNMR the false negative rate. `difference` and `ratio` of the frame
    compare groups; ``overall`` holds the rates of all pairs together.
    """
    metrics = require("fairlearn.metrics")
    same = np.concatenate([group.same for group in model.groups.values()])
    scores = np.concatenate([group.scores for group in model.groups.values()])
    names = np.repeat(list(model.groups), [len(group.same) for group in model.groups.values()])
    return metrics.MetricFrame(
        metrics={
            "FMR": metrics.false_positive_rate,
            "FNMR": metrics.false_negative_rate,
            "pairs": metrics.count,
        },
        y_true=same.astype(int),
        y_pred=(scores > threshold).astype(int),
        sensitive_features={"group": names},
    )


def long_table(report: Report) -> Any:
    """One line per metric and model: model, figure, group, value, low, high (a DataFrame).

    The difference of two models stands under the model name "difference".
    """
    pandas = require("pandas")
    blocks = {model.name: model.estimates for model in report.models}
    if report.differences:
        blocks["difference"] = report.differences
    lines: list[dict[str, Any]] = []
    for name, estimates in blocks.items():
        for key, estimate in estimates.items():
            metric = report.metrics[key]
            ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
            lines.append(
                {"model": name, "figure": metric.name or key, "group": metric.group, **ends}
            )
    for model in report.models:
        lines += _all_pairs_lines(model)
    return pandas.DataFrame(lines)


def _all_pairs_lines(model: Model) -> list[dict[str, Any]]:
    if model.all_pairs is None:
        return []
    return [
        {
            "model": model.name,
            "figure": f"all pairs {tpr_metric(rate.fpr).key}",
            "group": scope.name,
            "value": rate.tpr.value,
            "low": rate.tpr.low,
            "high": rate.tpr.high,
        }
        for scope in model.all_pairs.scopes
        for rate in scope.rates
    ]

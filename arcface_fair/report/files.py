# SPDX-License-Identifier: MIT
"""The report for machines: data frames (fairlearn disaggregates), JSON with everything, CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arcface_fair.evaluation.metrics import tpr_metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.files import finite_or_none, write_whole
from arcface_fair.optional import require
from arcface_fair.report.content import Model, Report


def rates_by_group(model: Model, threshold: float) -> Any:
    """fairlearn's MetricFrame of FMR, FNMR and counts at the cosine ``threshold``, by group.

    A pair counts as a prediction "same" if its cosine is above the threshold, so that FMR is the
    false positive and FNMR the false negative rate. `difference` and `ratio` of the frame
    compare groups; ``overall`` holds the rates of all pairs together.
    """
    metrics = require("fairlearn.metrics", "report")
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
    pandas = require("pandas", "report")
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


def write_json(report: Report, path: str | Path) -> Path:
    """Whole or not at all; what is undefined or infinite is null."""
    text = json.dumps(as_dict(report), indent=1, allow_nan=False)
    return write_whole(path, text.encode() + b"\n")


def write_csv(report: Report, path: str | Path) -> Path:
    """`long_table` as CSV, whole or not at all."""
    require("pandas", "report")
    return write_whole(path, long_table(report).to_csv(index=False).encode())


def as_dict(report: Report) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "title": report.title,
        "facts": dict(report.metadata),
        "protocol": {
            "fprs": list(report.protocol.fprs),
            "fmr": report.protocol.fmr,
            "alpha": report.protocol.alpha,
            "interval": report.level,
            "resamples": report.resamples,
        },
        "words": list(report.warnings),
        "models": {model.name: _model(model) for model in report.models},
        "differences": _estimates(report.differences),
    }


def _model(model: Model) -> dict[str, Any]:
    counts = {
        name: {"pairs": len(group.same), "genuine": int(group.same.sum())}
        for name, group in model.groups.items()
    }
    values = {
        "facts": dict(model.metadata),
        "groups": counts,
        "figures": _estimates(model.estimates),
    }
    if model.all_pairs is None:
        return values
    return values | {"all_pairs": [_scope(scope) for scope in model.all_pairs.scopes]}


def _scope(scope: Any) -> dict[str, Any]:
    return {
        "name": scope.name,
        "images": scope.images,
        "people": scope.people,
        "genuine": scope.genuine,
        "impostor": scope.impostor,
        "tpr": {
            f"{rate.fpr:g}": _estimate(rate.tpr)
            | {"threshold": finite_or_none(rate.threshold), "note": rate.note}
            for rate in scope.rates
        },
    }


def _estimates(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: _estimate(estimate) for name, estimate in estimates.items()}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: finite_or_none(value) for name, value in ends.items()}

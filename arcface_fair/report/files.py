# SPDX-License-Identifier: MIT
"""The report for machines: JSON with everything, CSV with one figure a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.report.content import Model, Report
from arcface_fair.report.frames import long_table
from arcface_fair.report.needs import require
from arcface_fair.report.write import write_whole


def write_json(report: Report, path: str | Path) -> Path:
    """Whole or not at all; what is undefined or infinite is null."""
    text = json.dumps(as_dict(report), indent=1, allow_nan=False)
    return write_whole(path, text.encode() + b"\n")


def write_csv(report: Report, path: str | Path) -> Path:
    """`frames.long_table` as CSV, whole or not at all."""
    require("pandas")
    return write_whole(path, long_table(report).to_csv(index=False).encode())


def as_dict(report: Report) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "title": report.title,
        "facts": dict(report.facts),
        "protocol": {
            "fprs": list(report.protocol.fprs),
            "fmr": report.protocol.fmr,
            "alpha": report.protocol.alpha,
            "interval": report.level,
            "resamples": report.resamples,
        },
        "words": list(report.words),
        "models": {model.name: _model(model) for model in report.models},
        "differences": _estimates(report.differences),
    }


def _model(model: Model) -> dict[str, Any]:
    counts = {
        name: {"pairs": len(group.same), "genuine": int(group.same.sum())}
        for name, group in model.groups.items()
    }
    found = {"facts": dict(model.facts), "groups": counts, "figures": _estimates(model.estimates)}
    if model.all_pairs is None:
        return found
    return found | {"all_pairs": [_scope(scope) for scope in model.all_pairs.scopes]}


def _scope(scope: Any) -> dict[str, Any]:
    return {
        "name": scope.name,
        "images": scope.images,
        "people": scope.people,
        "genuine": scope.genuine,
        "impostor": scope.impostor,
        "tpr": {
            f"{rate.fpr:g}": _estimate(rate.tpr)
            | {"threshold": finite(rate.threshold), "note": rate.note}
            for rate in scope.rates
        },
    }


def _estimates(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: _estimate(estimate) for name, estimate in estimates.items()}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: finite(value) for name, value in ends.items()}


def finite(value: float) -> float | None:
    """The value, or None where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None

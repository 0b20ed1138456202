# SPDX-License-Identifier: MIT
"""The report's pictures as SVG text, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from arcface_fair.evaluation.metrics import Metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.optional import COLOURS, pyplot, require
from arcface_fair.report.content import Model, Report

WIDTH = 6.4  # inches; the page scales pictures to its width
MOST_POINTS = 1000  # of a curve


def bars(report: Report, metric: Metric, label: str) -> str:
    """Bars with intervals of a metric per group, models side by side, in percent."""
    groups = report.groups
    flat = len(groups) > 12
    size = (WIDTH, 0.9 + 0.28 * len(groups) * len(report.models)) if flat else (WIDTH, 3.4)
    chart, axes = _canvas(size)
    width = 0.8 / len(report.models)
    lowest = 100.0
    for position, model in enumerate(report.models):
        estimates = [model.estimates[metric.of(group).key] for group in groups]
        at = np.arange(len(groups)) + (position - (len(report.models) - 1) / 2) * width
        values, errors = _in_percent(estimates)
        style = {"color": COLOURS[position % len(COLOURS)], "label": model.name}
        if flat:
            axes.barh(at, values, width * 0.92, xerr=errors, capsize=1.5, **style)
        else:
            axes.bar(at, values, width * 0.92, yerr=errors, capsize=2, **style)
        bottom = values - errors[0]
        lowest = min(lowest, *bottom[np.isfinite(bottom)], *[100.0])
    _finish_bars(axes, groups, flat, label, lowest if metric.direction > 0 else 0.0)
    if len(report.models) > 1:
        axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return svg(chart)


def _finish_bars(axes: Any, groups: list[str], flat: bool, label: str, lowest: float) -> None:
    bottom = max(0.0, 10 * np.floor((lowest - 5) / 10)) if lowest > 0 else 0.0
    if flat:
        axes.set_yticks(range(len(groups)), groups, fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel(label)
        axes.set_xlim(left=bottom)
    else:
        axes.set_xticks(range(len(groups)), groups, rotation=0 if len(groups) < 6 else 30)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=bottom)


def _in_percent(estimates: Sequence[Estimate]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([100 * estimate.value for estimate in estimates])
    ends = np.array([[100 * e.low for e in estimates], [100 * e.high for e in estimates]])
    errors = np.nan_to_num(np.stack([values - ends[0], ends[1] - values])).clip(min=0)
    return values, errors


def curves(model: Model, threshold: float) -> str:
    """ROC and DET per group, by scikit-learn, with each group's place at the one threshold."""
    metrics = require("sklearn.metrics", "report")
    chart, axes = _canvas((WIDTH, 3.6), columns=2)
    for position, (name, group) in enumerate(model.groups.items()):
        colour = COLOURS[position % len(COLOURS)]
        fpr, tpr, _ = metrics.roc_curve(group.same, group.scores)
        fmr, fnmr, _ = metrics.det_curve(group.same, group.scores)
        axes[0].plot(*_thinned(100 * fpr, 100 * tpr), color=colour, label=name, linewidth=1.2)
        axes[1].plot(*_thinned(100 * fmr, 100 * fnmr), color=colour, linewidth=1.2)
        other, own = group.scores[~group.same], group.scores[group.same]
        point = 100 * (other > threshold).mean(), 100 * (own <= threshold).mean()
        axes[0].plot(point[0], 100 - point[1], "o", color=colour, markersize=4)
        axes[1].plot(*point, "o", color=colour, markersize=4)
    floor = 100 / max(int((~group.same).sum()) for group in model.groups.values())
    axes[0].set(xscale="log", xlabel="FPR, %", ylabel="TPR, %", xlim=(floor, 100), title="ROC")
    axes[1].set(xscale="log", yscale="log", xlabel="FMR, %", ylabel="FNMR, %", title="DET")
    axes[1].set_xlim(floor, 100)
    chart.legend(
        loc="outside lower center", ncols=min(4, len(model.groups)), frameon=False, fontsize=8
    )
    return svg(chart)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= MOST_POINTS:
        return x, y
    chosen = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
    return x[chosen], y[chosen]


def histograms(model: Model, threshold: float) -> str:
    """Scores of genuine (filled) and impostor pairs (line) per group, and the one threshold."""
    groups = model.groups
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    chart, axes = _canvas((WIDTH, 0.6 + 1.5 * rows), rows, columns, sharex=True)
    scores = np.concatenate([group.scores for group in groups.values()])
    bins = np.linspace(scores.min() - 1e-9, scores.max() + 1e-9, 41)
    flat = np.atleast_1d(axes).ravel()
    for position, (name, group) in enumerate(groups.items()):
        colour = COLOURS[position % len(COLOURS)]
        spot = flat[position]
        spot.hist(group.scores[group.same], bins, density=True, color=colour, alpha=0.45)
        spot.hist(
            group.scores[~group.same], bins, density=True, histtype="step", color=colour, lw=1.2
        )
        if np.isfinite(threshold):
            spot.axvline(threshold, color="#444", linewidth=0.9, linestyle="--")
        spot.set_title(name, fontsize=9)
        spot.set_yticks([])
    for spot in flat[len(groups) :]:
        spot.set_visible(False)
    chart.supxlabel("cosine similarity (dashed: the one threshold)", fontsize=8)
    return svg(chart)


def differences(report: Report, metric: Metric, label: str) -> str:
    """Second model minus first per group, sorted, with paired intervals, in points.

    With one group per attribute this is the picture of INV-REG's Figure 5.
    """
    known = {
        group: change
        for group in report.groups
        if (change := report.differences[metric.of(group).key]).known
    }
    names = sorted(known, key=lambda group: known[group].value)
    chart, axes = _canvas((WIDTH, 0.9 + 0.26 * max(len(names), 2)))
    values, errors = _in_percent([known[name] for name in names])
    colours = [COLOURS[2] if value >= 0 else COLOURS[5] for value in values]
    axes.barh(range(len(names)), values, 0.75, xerr=errors, color=colours, capsize=1.5)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.axvline(0, color="#444", linewidth=0.8)
    axes.set_xlabel(label)
    return svg(chart)


def all_pairs_curves(model: Model) -> str:
    """TPR over FPR of every scope, as far as the kept impostors reach."""
    assert model.all_pairs is not None
    chart, axes = _canvas((WIDTH, 3.4))
    for position, scope in enumerate(model.all_pairs.scopes):
        fpr, tpr = scope.curve
        style = {"color": "#444" if position == 0 else COLOURS[(position - 1) % len(COLOURS)]}
        axes.plot(np.maximum(fpr, 1e-12), 100 * tpr, label=scope.name, linewidth=1.3, **style)
    axes.set(xscale="log", xlabel="FPR", ylabel="TPR, %")
    tiny = 1 / max(max(scope.impostor, 1) for scope in model.all_pairs.scopes)
    axes.set_xlim(left=tiny)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return svg(chart)


def _canvas(
    size: tuple[float, float], rows: int = 1, columns: int = 1, **shared: bool
) -> tuple[Any, Any]:
    chart, axes = pyplot().subplots(rows, columns, figsize=size, layout="constrained", **shared)
    for spot in np.atleast_1d(axes).ravel():
        spot.spines[["top", "right"]].set_visible(False)
        spot.tick_params(labelsize=8)
    return chart, axes


def svg(chart: Any) -> str:
    """The picture as an <svg> element that scales with the page."""
    text = io.StringIO()
    plt = pyplot()
    # Letters stay letters, and the same figures give the same bytes.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "arcface-fair"}):
        chart.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(chart)
    return text.getvalue()[text.getvalue().index("<svg") :]

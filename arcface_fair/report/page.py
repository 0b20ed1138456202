# SPDX-License-Identifier: MIT
"""The report as one HTML page that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

from html import escape
from pathlib import Path

from markupsafe import Markup

from arcface_fair.evaluation.metrics import METRICS, Metric, headline, tpr_metric
from arcface_fair.files import write_whole
from arcface_fair.report import charts
from arcface_fair.report.content import Model, Report, best_and_worst, pair_notes
from arcface_fair.report.files import rates_by_group
from arcface_fair.report.html import (
    cell,
    definitions,
    figure,
    photograph,
    render,
    table,
    warnings_box,
)

AT_ONE_THRESHOLD = (
    "FMR max/min", "FMR max/geomean", "FNMR max/min", "FNMR max/geomean", "FDR", "GARBE",
    "inequity rate",
)  # fmt: skip


def write_html(report: Report, path: str | Path) -> Path:
    """Writes the page, whole or not at all."""
    return write_whole(path, page(report).encode())


def page(report: Report) -> str:
    """The page's text: the template says what stands where, the functions below make the parts."""
    parts = {
        "warnings": warnings_box(report.warnings),
        "overview": _overview(report),
        "by_group": _by_group(report),
        "one_threshold": _one_threshold(report),
        "change": _change(report) if report.differences else "",
        "more": "".join(photograph(data, text) for text, data in report.figures),
        "counts": _counts(report) + definitions(report.metadata),
    }
    by_model = {
        "frames": [(model.name, _frame(model)) for model in report.models],
        "scores": [(model.name, _pictures(model)) for model in report.models],
        "all_pairs": [(m.name, _all_pairs(m)) for m in report.models if m.all_pairs is not None],
        "models": [
            (model.name, definitions(model.metadata)) for model in report.models if model.metadata
        ],
    }
    return render(
        "arcface_fair.report",
        report=report,
        **{name: Markup(html) for name, html in parts.items()},
        **{
            name: [(model, Markup(html)) for model, html in sections if html]
            for name, sections in by_model.items()
        },
    )


def _overview(report: Report) -> str:
    names = headline(report.protocol)
    rows = [(m.name, _marked_over_models(report, m, names)) for m in report.models]
    if report.differences:
        changes = report.differences
        row = [cell(report.metrics[name], changes[name], signed=True) for name in names]
        rows.append(("difference", row))
    return table(
        f"In percent, SER as a ratio; {report.level:.0%} intervals over people below each figure.",
        ["model", *(report.metrics[name].title for name in names)],
        rows,
    )


def _marked_over_models(report: Report, model: Model, names: list[str]) -> list[str]:
    cells = []
    for name in names:
        values = {other.name: other.estimates[name].value for other in report.models}
        best, worst = best_and_worst(values, report.metrics[name])
        mark = "best" if model.name in best else "worst" if model.name in worst else ""
        cells.append(cell(report.metrics[name], model.estimates[name], mark))
    return cells


def _by_group(report: Report) -> str:
    accuracy = METRICS["accuracy"]
    tprs = [tpr_metric(fpr) for fpr in report.protocol.fprs]
    parts = []
    for metric, head in ((accuracy, "10-fold accuracy"), *((tpr, tpr.title) for tpr in tprs)):
        parts.append(_group_table(report, metric, f"{head}, percent, best and worst group marked"))
    chart = charts.bars(report, accuracy, "10-fold accuracy, %")
    parts.append(figure(chart, "Accuracy per group; the axis need not start at 0."))
    if _known(report, tprs[0]):
        label = f"TPR, % at FPR {report.protocol.fprs[0]:g}"
        parts.append(figure(charts.bars(report, tprs[0], label), f"{label}, per group."))
    return "".join(parts)


def _known(report: Report, metric: Metric) -> bool:
    """Whether the data can say it of any model and group."""
    keys = [metric.of(group).key for group in report.groups]
    return any(model.estimates[key].known for model in report.models for key in keys)


def _group_table(report: Report, metric: Metric, caption: str) -> str:
    wide = len(report.groups) <= 8
    if wide:
        rows = [(m.name, _marked_over_groups(m, report.groups, metric)) for m in report.models]
        return table(caption, ["model", *report.groups], rows)
    marked = [_marked_over_groups(model, report.groups, metric) for model in report.models]
    lines = [(group, [cells[at] for cells in marked]) for at, group in enumerate(report.groups)]
    return table(caption, ["group", *(model.name for model in report.models)], lines)


def _marked_over_groups(model: Model, groups: list[str], metric: Metric) -> list[str]:
    estimates = {group: model.estimates[metric.of(group).key] for group in groups}
    best, worst = best_and_worst({group: e.value for group, e in estimates.items()}, metric)
    return [
        cell(metric, estimate, "best" if group in best else "worst" if group in worst else "")
        for group, estimate in estimates.items()
    ]


def _one_threshold(report: Report) -> str:
    rates = METRICS["fmr"], METRICS["fnmr"]
    parts = [_group_table(report, rate, f"{rate.title} per group, percent") for rate in rates]
    for rate in rates:
        if _known(report, rate):
            label = f"{rate.title}, %"
            parts.append(figure(charts.bars(report, rate, label), f"{label} at the one threshold."))
    rows = [
        (m.name, [cell(METRICS["threshold"], m.estimates["threshold"]),
                  *_marked_over_models(report, m, list(AT_ONE_THRESHOLD))])
        for m in report.models
    ]  # fmt: skip
    parts.append(table("How far apart the groups' rates are (1 or, for GARBE, 0 is equal)",
                       ["model", "threshold", *AT_ONE_THRESHOLD], rows))  # fmt: skip
    return "".join(parts)


def _frame(model: Model) -> str:
    """fairlearn's disaggregation, as a check and for its differences and ratios."""
    threshold = model.estimates["threshold"].value
    if threshold != threshold:  # NaN
        return ""
    frame = rates_by_group(model, threshold)

    def plain(value: float, name: str) -> str:
        shown = f"{value:.0f}" if name == "pairs" else f"{100 * value:.2f}"
        return f"<td>{shown}</td>"

    columns = list(frame.by_group.columns)
    rows = [
        (str(group), [plain(row[name], name) for name in columns])
        for group, row in frame.by_group.iterrows()
    ]
    rows.append(("all pairs", [plain(frame.overall[name], name) for name in columns]))
    rows.append(("largest difference", [plain(frame.difference()[n], n) for n in columns]))
    caption = f"{model.name} at cosine {threshold:.4f}, percent (fairlearn MetricFrame)"
    return table(caption, ["group", *columns], rows)


def _change(report: Report) -> str:
    parts = []
    for metric in (METRICS["accuracy"], *(tpr_metric(fpr) for fpr in report.protocol.fprs)):
        if any(report.differences[metric.of(group).key].known for group in report.groups):
            label = f"{metric.title}: difference in points"
            parts.append(figure(charts.differences(report, metric, label), label + ", sorted."))
    row = [
        cell(report.metrics[name], report.differences[name], signed=True)
        for name in AT_ONE_THRESHOLD
    ]
    heads = ["", *AT_ONE_THRESHOLD]
    parts.append(table("Change at the one threshold", heads, [("difference", row)]))
    return "".join(parts)


def _pictures(model: Model) -> str:
    threshold = model.estimates["threshold"].value
    return (
        figure(charts.histograms(model, threshold),
                 "Genuine pairs filled, impostor pairs as a line, per group.")
        + figure(charts.curves(model, threshold),
                 "ROC and DET per group; dots: each group at the one threshold.")
    )  # fmt: skip


def _all_pairs(model: Model) -> str:
    assert model.all_pairs is not None
    scopes = model.all_pairs.scopes
    heads = [f"TPR at {rate.fpr:g}" for rate in scopes[0].rates]
    rows = []
    for scope in scopes:
        cells = [cell(tpr_metric(rate.fpr), rate.tpr) if rate.tpr.known else _unknown(rate.note)
                 for rate in scope.rates]  # fmt: skip
        counts = (scope.images, scope.people, scope.genuine, scope.impostor)
        rows.append((scope.name, [*(f"<td>{count:,}</td>" for count in counts), *cells]))
    return (
        warnings_box(pair_notes(model.all_pairs))
        + table("Every image against every other, percent; groups: pairs within the group",
                ["group", "images", "people", "genuine", "impostor", *heads], rows)
        + figure(charts.all_pairs_curves(model), "TPR over FPR, all pairs.")
    )  # fmt: skip


def _unknown(note: str) -> str:
    return f'<td class="none" title="{escape(note)}">-</td>'


def _counts(report: Report) -> str:
    rows = [
        (name, [f"<td>{len(g.same):,}</td>", f"<td>{int(g.same.sum()):,}</td>",
                f"<td>{int((~g.same).sum()):,}</td>", f"<td>{_people(report, name)}</td>"])
        for name, g in report.models[0].groups.items()
    ]  # fmt: skip
    return table(
        "Pairs; people as far as a set's images and genuine pairs tell them apart",
        ["group", "pairs", "genuine", "impostor", "people"],
        rows,
    )


def _people(report: Report, group: str) -> str:
    known = report.models[0].groups[group]
    return "unknown" if known.people is None else f"{int(known.sides.max()) + 1:,}"

# SPDX-License-Identifier: MIT
"""The page of a results file, self-contained HTML: what held, what failed, and how sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from arcface_fair.evaluation.metrics import METRICS, Metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.files import write_whole
from arcface_fair.report.html import cell, definitions, figure, render, table, warnings_box
from studies.charts import differences
from studies.methods import method_values, settings_by_row, warnings
from studies.results import Results
from studies.statistics import Paired
from studies.suites import TITLES
from studies.summary import (
    Differences,
    Line,
    Table,
    conclusions,
    has_own_rows,
    summarise,
    table_warnings,
)
from studies.text import percent

# STD and SER stand behind mean, worst group and TPR, in one row, and nowhere else.
FIGURES = {
    "mean": "mean accuracy", "worst": "worst group", "mean_tpr": "mean TPR", "worst_tpr":
    "worst TPR", "std_ddof0": "STD n", "std_ddof1": "STD n-1", "ser": "SER",
}  # fmt: skip
COMPARED = {
    "mean": "mean accuracy", "worst": "worst group", "mean_tpr": "mean TPR", "std_ddof0": "STD n",
    "ser": "SER",
}  # fmt: skip
CAPTION = (
    "Against the baseline: mean (large dot), 95 % t-interval over seeds, one small dot per seed. "
    "Blue: methods, orange: controls, green: the ceiling."
)
SPLITS = {
    "test": "test identities, evaluated once",
    "validation": "validation identities",
}
# Of what a partition follows, these columns are enough for a table; the JSON holds all.
FOLLOWED = ("race", "gender", "context")


def write_page(results: Results, path: str | Path) -> Path:
    """Writes the page, whole or not at all."""
    return write_whole(path, page(results).encode())


def page(results: Results) -> str:
    """The page's text."""
    suites = []
    for suite in results.content["suites"]:
        tables = [summarise(results, suite, split) for split in SPLITS]
        shown = [table for table in tables if has_own_rows(results, table)]
        if shown:
            suites.append((TITLES.get(suite, suite), [_titled(results, each) for each in shown]))
    return render(
        "studies",
        warnings=Markup(warnings_box(warnings(results))),
        suites=suites,
        protocol=results.content["protocol"],
        methods=Markup(definitions(method_values(results))),
        settings=Markup(definitions(settings_by_row(results))),
    )


def _titled(results: Results, each: Table) -> tuple[str, Markup]:
    seeds = ", ".join(map(str, each.seeds))
    return f"{SPLITS[each.split]}, seeds {seeds}", Markup(_table(results, each))


def _table(results: Results, each: Table) -> str:
    parts = [warnings_box(table_warnings(each))]
    for _, group in groupby(each.lines, key=lambda line: line.baseline):
        lines = list(group)
        if any(line.name != line.ceiling for line in lines):
            parts.append(_block(results, each, lines))
    outputs = outputs_table(each.lines)
    if outputs:
        parts.append(
            f"<details><summary>Partitions, gates and diagnosis</summary>{outputs}</details>"
        )
    return "".join(parts)


def _block(results: Results, each: Table, lines: list[Line]) -> str:
    """The rows that share a baseline."""
    rows = [
        (_name(line), [_plain(name, line) for name in FIGURES] + _count(line)) for line in lines
    ]
    chart = differences(lines, lines[0].ceiling)
    parts = [
        table(
            "Means over seeds, percent; SER as a ratio; TPR at FPR 0.01",
            ["row", *FIGURES.values(), "seeds", "CPU s"],
            rows,
        ),
        figure(chart, CAPTION) if chart else "",
        _against_baseline(lines),
        _against_controls(results, each.split, lines),
        _groups(lines),
    ]
    return "".join(parts)


def _name(line: Line) -> str:
    return f"\N{RIGHTWARDS ARROW} {line.title}" if line.control_of else line.title


def _plain(name: str, line: Line) -> str:
    value = line.figures[name]
    return cell(_kind(name), Estimate(value, float("nan"), float("nan")))


def _kind(name: str) -> Metric:
    """The evaluation's metric, by whose unit a cell is written."""
    known = {"ser": "SER", "std_ddof0": "STD n", "std_ddof1": "STD n-1"}
    return METRICS[known.get(name, "accuracy")]


def _count(line: Line) -> list[str]:
    return [f"<td>{len(line.seeds)}</td>", f"<td>{line.figures['cpu_s']:.0f}</td>"]


def _against_baseline(lines: list[Line]) -> str:
    rows = []
    for line in lines:
        if not line.against_baseline:
            continue
        cells = _changes(line.against_baseline)
        cells += [_share(line.closed.get(name)) for name in ("mean", "worst")]
        rows.append((_name(line), cells))
    if not rows:
        return ""
    heads = ["row", *COMPARED.values(), "gap closed: mean", "gap closed: worst"]
    caption = (
        f"Difference to {lines[0].baseline}, paired by seed: points (SER: ratio) with 95 % "
        "t-intervals; share of the gap to the ceiling closed, with Fieller's interval"
    )
    return table(caption, heads, rows) + _in_words(lines)


def _in_words(lines: list[Line]) -> str:
    items = [
        f"<li><strong>{escape(line.title)}</strong>: {escape('; '.join(texts))}</li>"
        for line in lines
        if (texts := [*conclusions(line), *([line.note] if line.note else [])])
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _against_controls(results: Results, split: str, lines: list[Line]) -> str:
    people = results.content.get("bootstrap", {}).get(split, {}).get("rows", {})
    rows = []
    for line in lines:
        for name, found in line.controls.items():
            if not found:
                continue
            drawn = people.get(line.name, {}).get(name, {})
            cells = _changes(found)
            if people:
                cells += [_drawn(drawn.get(k)) for k in ("mean", "worst")]
            rows.append((f"{line.name} minus {name}", cells))
        drawn = people.get(line.name, {}).get(line.baseline)
        if drawn and line.against_baseline:
            cells = _changes(line.against_baseline) + [_drawn(drawn[k]) for k in ("mean", "worst")]
            rows.append((f"{line.name} minus {line.baseline}", cells))
    if not rows:
        return ""
    heads = ["difference", *COMPARED.values()]
    caption = "Methods against their controls, paired by seed, points with 95 % t-intervals"
    if people:
        heads += ["people: mean", "people: worst"]
        caption += "; people: bootstrap over the unseen people, networks held fixed"
    return table(caption, heads, rows)


def _changes(found: Differences) -> list[str]:
    return [_change(name, found.get(name)) for name in COMPARED]


def _change(name: str, each: Paired | None) -> str:
    if each is None:
        return '<td class="none">-</td>'
    wanted = -1 if name in ("std_ddof0", "ser") else 1
    mark = ""
    if wanted > 0:  # a smaller spread alone is no success, so it is never marked as one
        mark = "best" if each.above else "worst" if each.below else ""
    return cell(_kind(name), Estimate(each.value, each.low, each.high), mark, signed=True)


def _share(each: Paired | None) -> str:
    if each is None:
        return '<td class="none">-</td>'
    text = f"{percent(each.value)} %"
    if each.low == each.low:
        text += f"<small>[{percent(each.low)}, {percent(each.high)}]</small>"
    return f"<td>{text}</td>"


def _drawn(ends: list[float] | None) -> str:
    if ends is None:
        return '<td class="none">-</td>'
    return cell(METRICS["accuracy"], Estimate(*ends), signed=True)


def _groups(lines: list[Line]) -> str:
    heads = ["row", *lines[0].groups, *(f"TPR {group}" for group in lines[0].tprs)]
    rows = []
    for line in lines:
        values = [*line.groups.values(), *line.tprs.values()]
        rows.append((_name(line), [f"<td>{100 * value:.2f}</td>" for value in values]))
    shown = table("Accuracy and TPR at FPR 0.01 per group, percent", heads, rows)
    shown += _group_differences(heads, lines)
    return f"<details><summary>Group by group</summary>{shown}</details>"


def _group_differences(heads: list[str], lines: list[Line]) -> str:
    """Every group's accuracy and TPR against the baseline's, paired by seed."""
    names = [f"accuracy/{group}" for group in lines[0].groups]
    names += [f"tpr/{group}" for group in lines[0].tprs]
    rows = [
        (_name(line), [_change(name, line.against_baseline.get(name)) for name in names])
        for line in lines
        if line.against_baseline
    ]
    if not rows:
        return ""
    caption = (
        f"Difference to {lines[0].baseline} per group, paired by seed, points with 95 % t-intervals"
    )
    return table(caption, heads, rows)


def outputs_table(lines: Sequence[Line]) -> str:
    """What plugins and the diagnosis wrote: every number, its mean and range over seeds."""
    found = {line.title: numbers(line) for line in lines}
    found = {title: known for title, known in found.items() if known}
    if not found:
        return ""
    rows = [
        (f"{title}: {name}", [_mean_and_range(values), f"<td>{len(values)}</td>"])
        for title, known in found.items()
        for name, values in known.items()
    ]
    return table("Mean over seeds, and the range", ["row: figure", "value", "seeds"], rows)


def numbers(line: Line) -> dict[str, list[float]]:
    """Every number that a run config's plugins wrote, by its path, over seeds."""
    found: dict[str, list[float]] = {}
    for outputs in line.outputs.values():
        for path, value in _flat(outputs):
            found.setdefault(path, []).append(value)
    return found


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if path.endswith("follows") and name not in FOLLOWED:
                continue
            yield from _flat(inner, f"{path} {name}".strip())
    elif isinstance(value, list):
        if len(value) <= 8:
            for position, inner in enumerate(value):
                yield from _flat(inner, f"{path}[{position}]")
    elif isinstance(value, bool | int | float):
        yield path, float(value)


def _mean_and_range(values: list[float]) -> str:
    mean = sum(values) / len(values)
    text = f"{mean:.3g}"
    if max(values) > min(values):
        text += f"<small>{min(values):.3g} .. {max(values):.3g}</small>"
    return f"<td>{text}</td>"

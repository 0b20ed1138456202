# SPDX-License-Identifier: MIT
"""The page of a results file, self-contained HTML: what held, what failed, and how sure."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from arcface_fair.evaluation.metrics import METRICS, Metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.report.cells import cell, figure, said, table
from arcface_fair.report.style import STYLE
from arcface_fair.report.write import write_whole
from studies.charts import differences
from studies.colophon import colophon, warnings
from studies.results import Results
from studies.statistics import Paired
from studies.suites import TITLES
from studies.summary import Differences, Line, Table, has_own_rows, summarise
from studies.text import percent
from studies.traces_page import traces_table
from studies.verdicts import remarks, verdicts

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
SPLITS = {"test": "test people, opened once", "validation": "validation people"}
EXTRA_STYLE = "main > ul, details > ul { padding-left: 1.2rem; font-size: .9rem; }"


def write_page(results: Results, path: str | Path) -> Path:
    """Writes the page, whole or not at all."""
    return write_whole(path, page(results).encode())


def page(results: Results) -> str:
    """The page's text."""
    parts = [
        "<h1>What the methods are worth, on drawn faces</h1>",
        '<p class="soft">Every method beside its controls, on people who were drawn with a '
        "confounder planted: in some groups hair, glasses, clothes and background follow the "
        "person, in the unseen people nowhere. It demonstrates a mechanism and is no evidence "
        "about real people. A gain that a control shares is no effect of what was learned.</p>",
        said(warnings(results)),
    ]
    for suite in results.content["suites"]:
        tables = [summarise(results, suite, split) for split in SPLITS]
        parts += _suite(results, suite, [each for each in tables if has_own_rows(results, each)])
    parts.append(colophon(results))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>What the methods are worth</title><style>{STYLE}{EXTRA_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _suite(results: Results, suite: str, tables: list[Table]) -> list[str]:
    if not tables:
        return []
    parts = [f"<h2>{escape(TITLES.get(suite, suite))}</h2>"]
    for number, each in enumerate(tables):
        text = _table(results, each)
        seeds = ", ".join(map(str, each.seeds))
        head = f"{SPLITS[each.split]}, seeds {seeds}"
        if number:  # the test comes first; on what settings were chosen is kept, folded away
            parts.append(f"<details><summary>{escape(head)}</summary>{text}</details>")
        else:
            parts.append(f"<p><strong>{escape(head[0].upper() + head[1:])}</strong></p>{text}")
    return parts


def _table(results: Results, each: Table) -> str:
    parts = [said(remarks(each))]
    for _, group in groupby(each.lines, key=lambda line: line.baseline):
        lines = list(group)
        if any(line.name != line.ceiling for line in lines):
            parts.append(_block(results, each, lines))
    facts = traces_table(each.lines)
    if facts:
        parts.append(
            f"<details><summary>Partitions, gates and diagnosis</summary>{facts}</details>"
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
        if (texts := [*verdicts(line), *([line.note] if line.note else [])])
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

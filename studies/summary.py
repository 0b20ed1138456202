# SPDX-License-Identifier: MIT
"""One table: every row with its figures, its difference to ArcFace, to its controls, its verdict.

Differences are of rates (0..1), paired by seed; a run whose unseen people were drawn differently
from its partner's is not paired, and that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studies.results import Results
from studies.statistics import Paired, paired, share_closed

COMPARED = ("mean", "worst", "mean_tpr", "std_ddof0", "ser")
Differences = dict[str, Paired]


@dataclass(frozen=True)
class Line:
    """One row of a table; ``figures`` are means over seeds."""

    name: str
    title: str
    note: str
    control_of: str | None
    seeds: list[int]
    figures: dict[str, float]
    groups: dict[str, float]  # accuracy
    tprs: dict[str, float]
    baseline: str
    ceiling: str
    against_baseline: Differences
    controls: dict[str, Differences] = field(default_factory=dict)  # row minus control
    closed: dict[str, Paired] = field(default_factory=dict)  # shares of the gap
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The lines of a suite on one split."""

    suite: str
    split: str
    lines: list[Line]
    remarks: list[str]

    @property
    def seeds(self) -> list[int]:
        """All seeds that occur."""
        return sorted({seed for line in self.lines for seed in line.seeds})

    def line(self, name: str) -> Line | None:
        """The line of a row, if it is there."""
        return next((line for line in self.lines if line.name == name), None)


def summarise(
    results: Results, suite: str, split: str, names: Sequence[str] | None = None
) -> Table:
    """The table of ``suite``, or of the rows ``names``; rows without a run are left out.

    Raises UserError for a suite that the results do not know.
    """
    remarks: list[str] = []
    wanted = results.suite(suite) if names is None else names
    lines = [_line(results, n, split, remarks) for n in wanted if results.records(n, split)]
    remarks += _other_code(results, split, [line.name for line in lines])
    return Table(suite, split, lines, list(dict.fromkeys(remarks)))


def _other_code(results: Results, split: str, names: list[str]) -> list[str]:
    """Which rows have runs of other training code than most of the table."""
    codes = {
        name: {run["made"].get("code") for run in results.records(name, split).values()} - {None}
        for name in names
    }
    counts = Counter(code for found in codes.values() for code in found)
    if len(counts) < 2:
        return []
    common = counts.most_common(1)[0][0]
    others = [name for name, found in codes.items() if found - {common}]
    return [
        f"other training code than the rest made runs of {', '.join(others)}; "
        "--redo makes them again"
    ]


def has_own_rows(results: Results, table: Table) -> bool:
    """Whether runs are shown that no other table shows; the main table counts as soon as it has."""

    def runs(name: str) -> set[str]:
        row = results.rows.get(name, {"runs": {}})
        return set(row["runs"].get(table.split, {}).values())

    others = {
        n for s, names in results.content["suites"].items() if s != table.suite for n in names
    }
    shared = set().union(*(runs(name) for name in others))
    shown = set().union(*(runs(line.name) for line in table.lines))
    return bool(shown - shared) or (table.suite == "main" and bool(shown))


def _line(results: Results, name: str, split: str, remarks: list[str]) -> Line:
    row = results.rows[name]
    by_seed = results.figures(name, split)
    if old := [s for s, run in results.records(name, split).items() if run.get("stale")]:
        remarks.append(
            f"{name} at seed {', '.join(map(str, old))}: another version drew these people; "
            "make the runs again with --redo"
        )
    means = {
        key: float(np.mean([figures[key] for figures in by_seed.values()]))
        for key in next(iter(by_seed.values()))
    }
    base = row["baseline"]
    controls = [other for other, its in results.rows.items() if its["control_of"] == name]
    return Line(
        name=name,
        title=row["title"],
        note=row["note"],
        control_of=row["control_of"],
        seeds=list(by_seed),
        figures=means,
        groups=_with_prefix(means, "accuracy/"),
        tprs=_with_prefix(means, "tpr/"),
        baseline=base,
        ceiling=row["ceiling"],
        against_baseline={} if base == name else _differences(results, name, base, split, remarks),
        controls={c: _differences(results, name, c, split, remarks) for c in controls},
        closed=_closed(results, name, split),
        outputs=_outputs(results, name, split),
    )


def _with_prefix(figures: dict[str, float], prefix: str) -> dict[str, float]:
    return {k.removeprefix(prefix): v for k, v in figures.items() if k.startswith(prefix)}


def _differences(
    results: Results, first: str, second: str, split: str, remarks: list[str]
) -> Differences:
    a, b = results.records(first, split), results.records(second, split)
    differ = [s for s in a if s in b and a[s]["drawn"]["unseen"] != b[s]["drawn"]["unseen"]]
    if differ:
        remarks.append(
            f"{first} and {second} met differently drawn people at seed "
            f"{', '.join(map(str, differ))}: these are not paired"
        )
    mine, theirs = results.figures(first, split), results.figures(second, split)
    found = {}
    for name in (*COMPARED, *(k for k in next(iter(mine.values())) if "/" in k)):
        ours = {s: figures[name] for s, figures in mine.items() if s not in differ}
        difference = paired(ours, {s: f[name] for s, f in theirs.items() if name in f})
        if difference is not None:
            found[name] = difference
    return found


def _closed(results: Results, name: str, split: str) -> dict[str, Paired]:
    row = results.rows[name]
    if name in (row["baseline"], row["ceiling"]):
        return {}
    found = {}
    for figure in ("mean", "worst"):
        share = share_closed(
            results.figure(name, split, figure),
            results.figure(row["baseline"], split, figure),
            results.figure(row["ceiling"], split, figure),
        )
        if share is not None:
            found[figure] = share
    return found


def _outputs(results: Results, name: str, split: str) -> dict[str, Any]:
    """What plugins and the diagnosis said, by seed; only what there is."""
    found: dict[str, Any] = {}
    for seed, record in results.records(name, split).items():
        told = {**record.get("traces", {}), "diagnosis": record.get("diagnosis") or None}
        found |= {str(seed): {k: v for k, v in told.items() if v}} if any(told.values()) else {}
    return found


FIGURES = {"mean": "the mean", "worst": "the worst group"}


def conclusions(line: Line) -> list[str]:
    """Sentences about a row; empty for a baseline and for one seed only."""
    if not line.against_baseline or len(line.seeds) < 2:
        return []
    sentences = [_against_baseline(line)]
    sentences += [text for name in line.controls if (text := _against_control(line, name))]
    spread, mean = line.against_baseline["std_ddof0"], line.against_baseline["mean"]
    if spread.value < 0 and mean.below:
        sentences.append("the mean fell while the spread shrank: levelling down")
    elif spread.below and not mean.above:
        sentences.append("the spread shrank, but the mean did not rise")
    return sentences


def table_warnings(table: Table) -> list[str]:
    """What must be said about a table before it is read."""
    sentences = list(table.remarks)
    if table.seeds and len(table.seeds) < 5:
        sentences.append(
            f"{len(table.seeds)} seed{'s' if len(table.seeds) > 1 else ''} only: a hint, "
            "no finding; five are asked for"
        )
    counts = {len(line.seeds) for line in table.lines}
    if len(counts) > 1:
        few = [line.name for line in table.lines if len(line.seeds) < max(counts)]
        sentences.append(f"not all seeds are there yet for {', '.join(few)}")
    return sentences


def _against_baseline(line: Line) -> str:
    found = {name: line.against_baseline[name] for name in FIGURES}
    return _compared(found, f"than {line.baseline}")


def _against_control(line: Line, control: str) -> str:
    found = line.controls[control]
    if not found:
        return ""
    chosen = {name: found[name] for name in FIGURES}
    if all(each.above for each in chosen.values()):
        return f"above its control {control}, mean and worst group"
    if any(each.below for each in chosen.values()):
        return f"below its own control {control}"
    return f"not told apart from its control {control}"


def _compared(found: Mapping[str, Paired], than: str) -> str:
    parts: dict[str, list[str]] = {"higher": [], "lower": [], "not told apart": []}
    for name, each in found.items():
        kind = "higher" if each.above else "lower" if each.below else "not told apart"
        parts[kind].append(FIGURES[name])
    texts = [
        f"{' and '.join(parts[kind])} {kind} {than}" for kind in ("higher", "lower") if parts[kind]
    ]
    if parts["not told apart"]:
        ending = than.replace("than ", "from ")
        texts.append(f"{' and '.join(parts['not told apart'])} not told apart {ending}")
    return "; ".join(texts)
